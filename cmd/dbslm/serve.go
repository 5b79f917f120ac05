package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"

	"dbslm"
	"dbslm/gateway/edge"
	"dbslm/pkg/errors"
	"dbslm/pkg/rpc"
	"dbslm/pkg/telemetry"

	"github.com/spf13/cobra"
)

// defaultListen are the addresses of the services when they listen: loopback, because there is no
// authentication yet.
var defaultListen = map[dbslm.Service]string{
	dbslm.Gateway: "127.0.0.1:7400",
	dbslm.Ngram:   "127.0.0.1:7401",
	dbslm.Memory:  "127.0.0.1:7402",
	dbslm.Concept: "127.0.0.1:7403",
}

func newServe(a *app) *cobra.Command {
	var listen, residentDir, tlsCert, tlsKey string
	var beside besides
	var observe telemetry.Config
	residentMemory := size(1 << 30)
	var maxTurns int
	peers := map[dbslm.Service]*string{}
	cmd := &cobra.Command{
		Use:   "serve [ngram] [memory] [concept] [gateway]",
		Short: "Serve the gateway, single services, or everything in one process",
		Long: `Serve the named services; none named serves all of them in one process, where only the gateway listens and
its peers are reached in memory. Every service that is named listens: ngram on 127.0.0.1:7401, memory on 7402,
concept on 7403, the gateway on 7400; --listen sets the address of the gateway, or of the only service named.
There is no authentication yet: keep addresses on loopback or a private network.

With --http-listen the gateway also answers HTTP: a web page to talk, correct and look inside replies, what clients of OpenAI's
API ask for under /v1, and every RPC as JSON. It answers under localhost and addresses; other names are given with --http-host.

Published models are held whole in memory as far as --resident-memory allows, mapped from local files that are derived
from the tables, replaced when another build is published and removed when theirs is dropped. A model that does not fit
is served from its tables and a cache, with the same answers.`,
		Example: `  dbslm serve
  dbslm serve --http-listen 127.0.0.1:7480
  dbslm serve ngram --db mysql://dbslm:secret@db:3306/ --listen 0.0.0.0:7401
  dbslm serve gateway --ngram-addr 127.0.0.1:7401 --memory-addr 127.0.0.1:7402 --concept-addr 127.0.0.1:7403`,
		RunE: func(cmd *cobra.Command, args []string) error {
			services, err := serviceNames(args)
			if err != nil {
				return err
			}
			addresses, err := listenAddresses(services, listen, len(args) == 0)
			if err != nil {
				return err
			}
			config := dbslm.Config{
				DB: a.db, Services: services, Peers: map[dbslm.Service]string{}, PlaintextPeers: a.plaintextPeers, Version: version,
				Warm: true, ResidentBytes: int64(residentMemory), ResidentDir: residentDir,
			}
			if config.PeerTLS, err = a.peerTLS(); err != nil {
				return err
			}
			if tlsCert != "" || tlsKey != "" {
				if config.ServerTLS, err = rpc.ServerTLS(tlsCert, tlsKey); err != nil {
					return err
				}
			}
			if !slices.Contains(services, dbslm.Gateway) && (beside.http != "" || len(beside.hosts) > 0) {
				return usagef("--http-listen and --http-host are for the gateway; serve it in this process, or drop them")
			}
			if beside.http == "" && len(beside.hosts) > 0 {
				return usagef("--http-host names who may ask over HTTP; give an address with --http-listen too")
			}
			if observe.SampleRatio <= 0 {
				return usagef("--otlp-ratio %v is not above 0; leave out --otlp-endpoint to send no traces", observe.SampleRatio)
			}
			if maxTurns < 1 {
				return usagef("--max-turns %d is not above 0; leave it out for 256", maxTurns)
			}
			config.MaxTurns = maxTurns
			if residentMemory == 0 {
				config.ResidentBytes = -1
			}
			for name, address := range peers {
				config.Peers[name] = *address
			}
			return a.serve(cmd.Context(), config, observe, addresses, beside)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "", "`address` of the gateway, or of the only service named: host:port or unix:///path")
	flags.StringVar(&beside.http, "http-listen", "", "serve HTTP too, a web page, OpenAI's API and every RPC as JSON, at `host:port`, such as 127.0.0.1:7480")
	flags.StringSliceVar(&beside.hosts, "http-host", nil, "`name` under which HTTP may be asked, besides localhost and addresses; may be repeated")
	flags.StringVar(&beside.metrics, "metrics-listen", "", "serve /metrics and /healthz over HTTP at `host:port`")
	flags.StringVar(&observe.OTLPEndpoint, "otlp-endpoint", "", "send traces over OTLP/gRPC to a collector at `URL`, such as http://127.0.0.1:4317")
	flags.Float64Var(&observe.SampleRatio, "otlp-ratio", 1, "`share` of the traces begun here that is sent, above 0 up to 1")
	flags.StringVar(&tlsCert, "tls-cert", "", "demand TLS of clients, showing the certificate in a PEM `file`, which is read again when it was renewed")
	flags.StringVar(&tlsKey, "tls-key", "", "PEM `file` with the key of --tls-cert")
	flags.Var(&residentMemory, "resident-memory", "memory for models held whole, such as 512MiB; 0 serves all from tables and cache")
	flags.IntVar(&maxTurns, "max-turns", 256, "most replies that the gateway works on at once, `N`; more are refused, to be tried again")
	flags.StringVar(&residentDir, "resident-dir", "", "`directory` for local files of models held whole (default in the store, or in the user's cache)")
	for _, name := range dbslm.Services()[:3] {
		peers[name] = flags.String(string(name)+"-addr", "", fmt.Sprintf("`host:port` of the %s service when it runs elsewhere", name))
	}
	return cmd
}

func serviceNames(args []string) ([]dbslm.Service, error) {
	if len(args) == 0 {
		return dbslm.Services(), nil
	}
	var services []dbslm.Service
	for _, arg := range args {
		name := dbslm.Service(arg)
		if !slices.Contains(dbslm.Services(), name) {
			return nil, usagef("there is no service %q; name ngram, memory, concept or gateway", arg)
		}
		if !slices.Contains(services, name) {
			services = append(services, name)
		}
	}
	return services, nil
}

// listenAddresses says which services listen and where.
func listenAddresses(services []dbslm.Service, listen string, all bool) (map[dbslm.Service]string, error) {
	addresses := map[dbslm.Service]string{}
	main := dbslm.Gateway
	if all {
		addresses[main] = defaultListen[main]
	} else {
		for _, name := range services {
			addresses[name] = defaultListen[name]
		}
		if len(services) == 1 {
			main = services[0]
		}
	}
	if listen != "" {
		if _, ok := addresses[main]; !ok {
			return nil, usagef("--listen is for the gateway or a single service; serve the services in processes of their own to place each")
		}
		addresses[main] = listen
	}
	return addresses, nil
}

// besides are the listeners beside the services' own; empty for none.
type besides struct {
	metrics, http string
	hosts         []string // of http
}

func (a *app) serve(ctx context.Context, config dbslm.Config, observe telemetry.Config, addresses map[dbslm.Service]string, beside besides) (err error) {
	tel, err := a.telemetry(observe)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tel.Close(context.WithoutCancel(ctx))) }()
	listeners := map[dbslm.Service]net.Listener{}
	defer func() {
		for _, l := range listeners { // those that Serve has taken are closed already
			_ = l.Close()
		}
	}()
	for name, address := range addresses { // before the stores, because this fails more often and sooner
		if listeners[name], err = rpc.Listen(ctx, address); err != nil {
			delete(listeners, name)
			return err
		}
	}
	config.Telemetry = tel
	sys, err := dbslm.Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sys.Close()) }()

	run, stop := context.WithCancel(ctx)
	defer stop()
	asked, stopAsked := context.WithCancel(context.WithoutCancel(ctx)) // the services outlive the door of HTTP, which asks them
	defer stopAsked()
	var serving sync.WaitGroup
	var errs [3]error
	if beside.metrics != "" {
		lis, err := rpc.Listen(ctx, beside.metrics)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.err, "metrics on http://%s/metrics\n", lis.Addr())
		serving.Go(func() { errs[0] = tel.Serve(run, lis, sys.Ready); stop() })
	}
	if beside.http != "" {
		lis, err := rpc.Listen(ctx, beside.http)
		if err != nil {
			stop()
			serving.Wait()
			return err
		}
		scheme := "http"
		if config.ServerTLS != nil {
			scheme, lis = "https", tls.NewListener(lis, onlyHTTP1(config.ServerTLS))
		}
		fmt.Fprintf(a.err, "gateway on %[1]s://%[2]s/v1\nweb page on %[1]s://%[2]s/\n", scheme, lis.Addr())
		door := edge.New(sys.Conn(), edge.Options{Hosts: beside.hosts, Logger: tel.Logger, Registerer: tel.Registry})
		serving.Go(func() { errs[1] = door.Serve(run, lis); stop(); stopAsked() })
	} else {
		context.AfterFunc(run, stopAsked)
	}
	for _, name := range dbslm.Services() {
		if l, ok := listeners[name]; ok {
			fmt.Fprintf(a.err, "%s listening on %s\n", name, l.Addr())
		}
	}
	errs[2] = sys.Serve(asked, listeners)
	stop()
	serving.Wait()
	return errors.Join(errs[:]...)
}

// onlyHTTP1 is the configuration of gRPC's TLS for a server that speaks no HTTP/2.
func onlyHTTP1(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}
