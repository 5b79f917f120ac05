package main

import (
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// progress shows bars on a terminal and nothing elsewhere.
type progress struct {
	lines   io.Writer // takes lines while bars are on show, and puts them above the bars
	bars    *mpb.Progress
	current *mpb.Bar
	phase   string
}

func newProgress(s streams) *progress {
	p := &progress{lines: s.out}
	if terminal(s.err) {
		p.bars = mpb.New(mpb.WithOutput(behind(s.err).(io.Writer)), mpb.WithWidth(40)) // it moves the cursor
		if terminal(s.out) {
			p.lines = &visible{to: p.bars}
		}
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
		// Made with a total, a bar ends itself when it is full, and a phase could not go on.
		p.current = p.bars.AddBar(0,
			mpb.PrependDecorators(decor.Name(shown(phase), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(counters, speed, decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)))
	}
	p.current.SetTotal(int64(max(total, done)), false)
	p.current.SetCurrent(int64(done))
}

// finish takes the bar on show away.
func (p *progress) finish() {
	if p.current != nil {
		p.current.Abort(true)
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
