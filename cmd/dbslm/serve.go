package main

import (
	"context"
	"fmt"
	"net"
	"slices"

	"dbslm"
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
	var listen, metrics, residentDir, tlsCert, tlsKey string
	var observe telemetry.Config
	residentMemory := size(1 << 30)
	peers := map[dbslm.Service]*string{}
	cmd := &cobra.Command{
		Use:   "serve [ngram] [memory] [concept] [gateway]",
		Short: "Serve the gateway, single services, or everything in one process",
		Long: `Serve the named services; none named serves all of them in one process, where only the gateway listens and
its peers are reached in memory. Every service that is named listens: ngram on 127.0.0.1:7401, memory on 7402,
concept on 7403, the gateway on 7400; --listen sets the address of the gateway, or of the only service named.
There is no authentication yet: keep addresses on loopback or a private network.

Published models are held whole in memory as far as --resident-memory allows, mapped from local files that are derived
from the tables, replaced when another build is published and removed when theirs is dropped. A model that does not fit
is served from its tables and a cache, with the same answers.`,
		Example: `  dbslm serve
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
			if observe.SampleRatio <= 0 {
				return usagef("--otlp-ratio %v is not above 0; leave out --otlp-endpoint to send no traces", observe.SampleRatio)
			}
			if residentMemory == 0 {
				config.ResidentBytes = -1
			}
			for name, address := range peers {
				config.Peers[name] = *address
			}
			return a.serve(cmd.Context(), config, observe, addresses, metrics)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&listen, "listen", "", "`address` of the gateway, or of the only service named: host:port or unix:///path")
	flags.StringVar(&metrics, "metrics-listen", "", "serve /metrics and /healthz over HTTP at `host:port`")
	flags.StringVar(&observe.OTLPEndpoint, "otlp-endpoint", "", "send traces over OTLP/gRPC to a collector at `URL`, such as http://127.0.0.1:4317")
	flags.Float64Var(&observe.SampleRatio, "otlp-ratio", 1, "`share` of the traces begun here that is sent, above 0 up to 1")
	flags.StringVar(&tlsCert, "tls-cert", "", "demand TLS of clients, showing the certificate in a PEM `file`, which is read again when it was renewed")
	flags.StringVar(&tlsKey, "tls-key", "", "PEM `file` with the key of --tls-cert")
	flags.Var(&residentMemory, "resident-memory", "memory for models held whole, such as 512MiB; 0 serves all from tables and cache")
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

func (a *app) serve(ctx context.Context, config dbslm.Config, observe telemetry.Config, addresses map[dbslm.Service]string, metrics string) (err error) {
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
	served := make(chan error, 1)
	if metrics != "" {
		lis, err := rpc.Listen(ctx, metrics)
		if err != nil {
			return err
		}
		fmt.Fprintf(a.err, "metrics on http://%s/metrics\n", lis.Addr())
		go func() { served <- tel.Serve(run, lis, sys.Ready); stop() }()
	} else {
		served <- nil
	}
	for _, name := range dbslm.Services() {
		if l, ok := listeners[name]; ok {
			fmt.Fprintf(a.err, "%s listening on %s\n", name, l.Addr())
		}
	}
	err = sys.Serve(run, listeners)
	stop()
	return errors.Join(err, <-served)
}
