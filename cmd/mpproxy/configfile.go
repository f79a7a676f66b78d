package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"mpproxy/internal/pki"
	"mpproxy/proxy"
	"mpproxy/rules"
)

// configFile is the file of "run -c": any flag of run by its long name, and
// the tables that have no flag. Paths in it are relative to its folder.
type configFile struct {
	path string
	// flags are values for flags that the command line does not give.
	flags map[string]setting
	// Listeners stand in place of --listen, --mode, --tls and --upstream.
	Listeners []listenerConfig `yaml:"listeners"`
	// ClientCerts is the table of client certificates by agent.
	ClientCerts []clientCertConfig `yaml:"client-certs"`
}

// setting is a flag's value in the file, and where it stands.
type setting struct {
	value any
	at    rules.Error
}

// listenerConfig is one listener. What it leaves empty is as for run's flags.
type listenerConfig struct {
	Listen   string        `yaml:"listen"`
	Upstream string        `yaml:"upstream"`
	Mode     string        `yaml:"mode"`
	TLS      string        `yaml:"tls"`
	Profile  string        `yaml:"tls-profile"`
	Cert     string        `yaml:"cert"`
	Key      string        `yaml:"key"`
	Host     []string      `yaml:"host"`
	Tunnel   []string      `yaml:"tunnel"`
	Routes   []routeConfig `yaml:"routes"`
}

// routeConfig leads agents that use a name to a management point of its own.
type routeConfig struct {
	Name     string `yaml:"name"`
	Upstream string `yaml:"upstream"`
}

// clientCertConfig says which agents the management point sees with which
// certificate.
type clientCertConfig struct {
	Agent        string `yaml:"agent"`
	Subject      string `yaml:"subject"`
	Client       string `yaml:"client"`
	Cert         string `yaml:"cert"`
	Key          string `yaml:"key"`
	PasswordFile string `yaml:"password-file"`
}

// Decode reads the file that -c names. It is how kong asks a flag to read
// itself.
func (c *configFile) Decode(ctx *kong.DecodeContext) error {
	if err := ctx.Scan.PopValueInto("file", &c.path); err != nil {
		return err
	}
	src, err := os.ReadFile(c.path)
	if err != nil {
		return fmt.Errorf("read the config file: %w", err)
	}
	return c.parse(src)
}

// BeforeResolve lets the file stand behind the command line and the
// environment.
func (*configFile) BeforeResolve(ctx *kong.Context, at *kong.Path) error {
	c, ok := ctx.FlagValue(at.Flag).(configFile) // the receiver gets its value only after this
	if !ok {
		return nil
	}
	known := map[string]*kong.Flag{}
	for _, f := range ctx.Selected().Flags {
		known[f.Name] = f
	}
	for name, set := range c.flags {
		if known[name] == nil || name == "config" {
			set.at.Message = fmt.Sprintf("unknown key %q (known: listeners, client-certs, and the flags of mpproxy run without their dashes)", name)
			return &set.at
		}
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		for _, env := range f.Envs {
			if _, set := os.LookupEnv(env); set {
				return nil, nil
			}
		}
		return c.value(f), nil
	}))
	return nil
}

// value is what the file gives for a flag, nil for nothing.
func (c *configFile) value(f *kong.Flag) any {
	v := c.flags[f.Name].value
	if text, ok := v.(string); ok && f.Tag.Type == "path" {
		return c.near(text)
	}
	return v
}

// near is a path in the file, which is relative to the file's folder.
func (c *configFile) near(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.path), path)
}

func (c *configFile) parse(src []byte) error {
	file, err := parser.ParseBytes(src, 0)
	if err != nil {
		return placed(c.path, err)
	}
	c.flags = map[string]setting{}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		m, ok := doc.Body.(ast.MapNode)
		if !ok {
			return fmt.Errorf("%s: a config file is a list of KEY: VALUE", c.path)
		}
		for pairs := m.MapRange(); pairs.Next(); {
			if err := c.key(pairs.KeyValue()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *configFile) key(kv *ast.MappingValueNode) error {
	switch name := kv.Key.String(); name {
	case "listeners":
		return placed(c.path, yaml.NodeToValue(kv.Value, &c.Listeners, yaml.Strict()))
	case "client-certs":
		return placed(c.path, yaml.NodeToValue(kv.Value, &c.ClientCerts, yaml.Strict()))
	default:
		pos := kv.Key.GetToken().Position
		set := setting{at: rules.Error{File: c.path, Line: pos.Line, Column: pos.Column}}
		if err := yaml.NodeToValue(kv.Value, &set.value); err != nil {
			return placed(c.path, err)
		}
		if _, isMap := set.value.(map[string]any); isMap {
			set.at.Message = fmt.Sprintf("%q takes a value or a list, not keys of its own", name)
			return &set.at
		}
		c.flags[name] = set
		return nil
	}
}

// placed gives an error of the YAML reader its line and column.
func placed(path string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		at := y.GetToken().Position
		return &rules.Error{File: path, Line: at.Line, Column: at.Column, Message: y.GetMessage()}
	}
	return err
}

// listeners are the file's, with what it leaves out taken from a pattern.
func (c *configFile) listeners(pattern proxy.Listener) ([]proxy.Listener, error) {
	var out []proxy.Listener
	for i, in := range c.Listeners {
		l, err := c.listener(in, pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: listener %d: %w", c.path, i+1, err)
		}
		out = append(out, l)
	}
	return out, nil
}

func (c *configFile) listener(in listenerConfig, l proxy.Listener) (_ proxy.Listener, err error) {
	if in.Upstream != "" {
		if l.Upstream, err = proxy.ParseTarget(in.Upstream); err != nil {
			return l, err
		}
	}
	if l.Mode, l.TLS, err = arrival(in.Mode, in.TLS, l); err != nil {
		return l, err
	}
	if l.Mode == proxy.Reverse && l.Upstream.Host == "" {
		return l, errors.New("no management point given: add upstream: https://mp01.contoso.com")
	}
	listen := in.Listen
	if listen == "" {
		listen = defaultListen(l.Mode, l.Upstream)
	}
	if l.Scheme, l.Address, err = proxy.ParseListen(listen); err != nil {
		return l, err
	}
	if in.Profile != "" {
		l.Profile = profile(in.Profile)
	}
	if in.Cert != "" {
		if l.Certificate, err = pki.LoadKeyPair(c.near(in.Cert), c.near(in.Key)); err != nil {
			return l, err
		}
	}
	l.Names, l.Tunnel = append(slices.Clone(l.Names), in.Host...), append(slices.Clone(l.Tunnel), in.Tunnel...)
	for _, r := range in.Routes {
		to, err := proxy.ParseTarget(r.Upstream)
		if err != nil {
			return l, fmt.Errorf("route of %q: %w", r.Name, err)
		}
		if r.Name == "" {
			return l, errors.New("a route needs the name that agents use")
		}
		l.Routes = append(l.Routes, proxy.Route{Name: r.Name, Upstream: to})
	}
	return l, nil
}

// arrival reads mode and tls as the flags of those names are read; empty takes
// the pattern's.
func arrival(mode, policy string, l proxy.Listener) (proxy.Mode, proxy.TLSPolicy, error) {
	switch mode {
	case "":
	case "passthrough":
		l.Mode, l.TLS = proxy.Reverse, proxy.Passthrough
	case string(proxy.Reverse), string(proxy.Forward), string(proxy.Transparent):
		l.Mode = proxy.Mode(mode)
	default:
		return "", "", fmt.Errorf("unknown mode %q (known: reverse, forward, transparent, passthrough)", mode)
	}
	switch proxy.TLSPolicy(policy) {
	case "":
	case proxy.Terminate, proxy.Passthrough, proxy.TerminateOrPass:
		l.TLS = proxy.TLSPolicy(policy)
	default:
		return "", "", fmt.Errorf("unknown tls %q (known: terminate, passthrough, auto)", policy)
	}
	return l.Mode, l.TLS, nil
}

// clientCertificates loads the table of client certificates.
func (c *configFile) clientCertificates() ([]proxy.ClientCertificate, error) {
	var out []proxy.ClientCertificate
	for i, in := range c.ClientCerts {
		row := proxy.ClientCertificate{Subject: in.Subject, Client: in.Client}
		var err error
		if row.Agent, err = addresses(in.Agent); err == nil && in.Cert == "" {
			err = errors.New(`no certificate given: cert: FILE, or cert: none for agents that are to show none`)
		}
		if err == nil && in.Cert != "none" {
			row.Certificate, err = loadClientCert(c.near(in.Cert), c.near(in.Key), c.near(in.PasswordFile))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: client certificate %d: %w", c.path, i+1, err)
		}
		out = append(out, row)
	}
	return out, nil
}

// addresses reads an address or a range of them, 192.0.2.0/24; empty is every
// address.
func addresses(s string) (netip.Prefix, error) {
	if s == "" {
		return netip.Prefix{}, nil
	}
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("agent %q is no address and no range such as 192.0.2.0/24", s)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("agent %q is no address and no range such as 192.0.2.0/24", s)
	}
	return p, nil
}

// loadClientCert loads a PEM file with its key, or a PFX with the password in
// another file. It is nil when no file is named.
func loadClientCert(file, key, passwordFile string) (*tls.Certificate, error) {
	switch {
	case file == "" && key+passwordFile == "":
		return nil, nil
	case file == "":
		return nil, errors.New("a key, or a password, and no certificate that it is for: --client-cert names that")
	case key != "" && passwordFile != "":
		return nil, fmt.Errorf("%s has its key in another file, so no password is asked for: leave the password file out; a key with a password is made one without by openssl pkey -in KEY -out PLAIN", file)
	case passwordFile == "":
		return pki.LoadKeyPair(file, key)
	}
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("read the password of %s: %w", file, err)
	}
	return pki.LoadPFX(file, strings.TrimRight(string(password), "\r\n"))
}
