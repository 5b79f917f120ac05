package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"os"

	"dbslm/pkg/errors"
)

// SystemCAs names, as a file for PeerTLS, the authorities that this machine trusts.
const SystemCAs = "system"

const reasonTLS = "BAD_TLS_FILE"

// ServerTLS returns the settings of servers that show the certificate chain in certFile, whose key is in keyFile (both PEM).
// The files are read again for every connection, so that a renewed certificate needs no restart. InvalidArgument if they
// cannot be used now.
func ServerTLS(certFile, keyFile string) (*tls.Config, error) {
	load := func() (*tls.Certificate, error) {
		certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			return nil, errors.Wrap(err, errors.InvalidArgument, reasonTLS, "the certificate %s and its key %s cannot be used; give two PEM files that belong together", certFile, keyFile)
		}
		return &certificate, nil
	}
	if _, err := load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	}, nil
}

// PeerTLS returns the settings with which Dial trusts servers whose certificate an authority in caFile (PEM) has signed;
// SystemCAs stands for those of the machine. InvalidArgument if there is none in the file.
func PeerTLS(caFile string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile == SystemCAs {
		return config, nil
	}
	pem, err := os.ReadFile(caFile)
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, errors.Wrap(err, errors.InvalidArgument, reasonTLS, "%s holds no certificate of an authority; give a PEM file, or %s", caFile, SystemCAs)
	}
	return config, nil
}
