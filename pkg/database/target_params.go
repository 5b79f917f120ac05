package database

import (
	"net/url"
	"time"

	"dbslm/pkg/errors"
)

// serverParams applies a mysql URL's query.
func (t *Target) serverParams(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: the part after ? is not a list of name=value")
	}
	for name, list := range values {
		value := list[len(list)-1]
		switch name {
		case "schema_prefix":
			if !validSchemaName(value) || len(value) > maxPrefix {
				return errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: schema_prefix %q is not made of a-z, 0-9 and _, or is longer than %d", value, maxPrefix)
			}
			t.prefix = value
		case "engine":
			if t.engine = Engine(value); t.engine != InnoDB && t.engine != Hybrid {
				return errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: engine=%q is none of %s, %s", value, InnoDB, Hybrid)
			}
		case "tls":
			if value != "true" && value != "false" && value != "skip-verify" && value != "preferred" {
				return errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: tls=%q is none of true, false, skip-verify, preferred", value)
			}
			t.server.TLSConfig = value
		case "timeout":
			t.server.Timeout, err = time.ParseDuration(value)
		case "read_timeout":
			t.server.ReadTimeout, err = time.ParseDuration(value)
		case "write_timeout":
			t.server.WriteTimeout, err = time.ParseDuration(value)
		default:
			return errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: unknown parameter %q; there are schema_prefix, engine, tls, timeout, read_timeout, write_timeout", name)
		}
		if err != nil {
			return errors.New(errors.InvalidArgument, reasonTarget, "mysql URL: %s=%q is not a duration such as 5s", name, value)
		}
	}
	return nil
}

// maxPrefix keeps prefix + schema name under MySQL's 64 characters.
const maxPrefix = 16
