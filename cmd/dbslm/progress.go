package main

import (
	"io"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows bars on a terminal and nothing elsewhere.
type progress struct {
	bars    *mpb.Progress
	current *mpb.Bar
	phase   string
	done    atomic.Int64
}

func newProgress(w io.Writer) *progress {
	p := &progress{}
	if terminal(w) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))
	}
	return p
}

// set shows how far a phase is; a new phase gets a new bar. A total of 0 is unknown.
func (p *progress) set(phase string, done, total uint64, bytes bool) {
	if p.bars == nil {
		return
	}
	if phase != p.phase {
		p.finish()
		p.phase = phase
		counters, speed := decor.CountersNoUnit("%d / %d"), decor.AverageSpeed(0, "%.0f/s", decor.WCSyncSpace)
		if bytes {
			counters, speed = decor.CountersKibiByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace)
		}
		p.current = p.bars.AddBar(int64(total),
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(phase, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(counters, speed, decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	}
	if total > 0 {
		p.current.SetTotal(int64(total), false)
	}
	p.current.SetCurrent(int64(done))
}

// finish completes the bar on show, so that lines may be printed.
func (p *progress) finish() {
	if p.current != nil {
		p.current.SetTotal(-1, true)
		p.current.Wait()
		p.current, p.phase = nil, ""
	}
}

// close ends the display.
func (p *progress) close() {
	if p.bars == nil {
		return
	}
	p.finish()
	p.bars.Wait()
}
