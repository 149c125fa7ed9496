package discover

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"kurir/upstream/explain"
	"kurir/upstream/provider"
)

const (
	maxAutoconfig = 64 << 10 // bytes of a file that are read
	maxRedirects  = 3
)

// A server is what an autoconfig file says of one submission server.
type server struct {
	host     string
	way      provider.Candidate
	username string // "" if it does not say
}

// askAutoconfig reads the domain's file from the two places where it may be.
// Neither is told the address, and nothing is asked over plain HTTP: who is in
// the way could answer with a host of their own.
func (o Options) askAutoconfig(ctx context.Context, f *Finding, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	urls := []string{
		"https://autoconfig." + f.Domain + "/mail/config-v1.1.xml",
		"https://" + f.Domain + "/.well-known/autoconfig/mail/config-v1.1.xml",
	}
	found := make([]*server, len(urls))
	var wg sync.WaitGroup
	for i, url := range urls {
		wg.Go(func() {
			// A domain without such a file is the usual case, so that why
			// there is none is of no interest.
			if file, err := o.fetch(ctx, url); err == nil {
				found[i], _ = parseAutoconfig(file, address)
			}
		})
	}
	wg.Wait()
	for i, s := range found {
		if s == nil {
			continue
		}
		f.How, f.Source, f.Host, f.Username = ByAutoconfig, urls[i], s.host, cmp.Or(s.username, f.Username)
		if s.way != (provider.Candidate{Port: 465, TLS: explain.Implicit}) &&
			s.way != (provider.Candidate{Port: 587, TLS: explain.STARTTLS}) {
			f.Candidate = s.way
		}
		return true
	}
	return false
}

// fetch gets a file of at most maxAutoconfig bytes, over verified TLS also
// where it is redirected.
func (o Options) fetch(ctx context.Context, url string) ([]byte, error) {
	client := http.Client{
		Transport: o.Transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if r.URL.Scheme != "https" || len(via) > maxRedirects {
				return fmt.Errorf("will not follow to %s", r.URL.Redacted())
			}
			return nil
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	file, err := io.ReadAll(io.LimitReader(response.Body, maxAutoconfig+1))
	if err == nil && len(file) > maxAutoconfig {
		err = fmt.Errorf("%s: larger than %d bytes", url, maxAutoconfig)
	}
	return file, err
}

// parseAutoconfig takes the first submission server that can be used from a
// config-v1.1 file; the first is the one its author prefers.
func parseAutoconfig(file []byte, address string) (*server, error) {
	var config struct {
		XMLName xml.Name `xml:"clientConfig"`
		Servers []struct {
			Type     string `xml:"type,attr"`
			Hostname string `xml:"hostname"`
			Port     string `xml:"port"`
			Socket   string `xml:"socketType"`
			Username string `xml:"username"`
		} `xml:"emailProvider>outgoingServer"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(file))
	if err := decoder.Decode(&config); err != nil {
		return nil, err
	}
	at := strings.LastIndexByte(address, '@')
	fill := strings.NewReplacer("%EMAILADDRESS%", address, "%EMAILLOCALPART%", address[:at], "%EMAILDOMAIN%", address[at+1:])
	for _, s := range config.Servers[:min(len(config.Servers), mostRecords)] {
		var way provider.Candidate
		switch strings.ToUpper(strings.TrimSpace(s.Socket)) {
		case "SSL", "TLS":
			way.TLS = explain.Implicit
		case "STARTTLS":
			way.TLS = explain.STARTTLS
		default:
			continue // unencrypted
		}
		port, err := strconv.ParseUint(strings.TrimSpace(s.Port), 10, 16)
		host, ok := hostName(fill.Replace(strings.TrimSpace(s.Hostname)))
		if err != nil || port == 0 || !ok || !strings.EqualFold(s.Type, "smtp") {
			continue
		}
		way.Port = int(port)
		username := fill.Replace(strings.TrimSpace(s.Username))
		if !isUsername(username) {
			username = ""
		}
		return &server{host: host, way: way, username: username}, nil
	}
	return nil, errors.New("there is no encrypted submission server in it")
}
