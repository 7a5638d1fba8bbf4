// Package discovery finds out where an issuer's endpoints are, by its metadata: that of
// RFC 8414 first, then that of OpenID Connect Discovery.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/open-tollgate/tollgate/internal/jose"
	"github.com/open-tollgate/tollgate/internal/outbound"
)

// maxBody bounds a metadata document.
const maxBody = 512 << 10

// Find gives the URL that the issuer's metadata has as the member, such as jwks_uri.
// client is one of outbound.Restrict. The places share the time that the context leaves:
// one that hangs does not keep the next from being asked.
func Find(ctx context.Context, client *http.Client, issuer, member string) (string, error) {
	var failures []error
	places := wellKnown(issuer)
	for n, place := range places {
		document, err := getWithin(ctx, len(places)-n, client, place)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		found, err := parse(document, issuer, member)
		if err == nil {
			return found, nil
		}
		failures = append(failures, err)
	}
	return "", errors.Join(failures...)
}

// wellKnown gives the places of an issuer's metadata: RFC 8414 section 3 puts the
// well-known part before the issuer's path, OpenID Discovery section 4 behind it.
func wellKnown(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + path + "/.well-known/openid-configuration",
	}
}

// getWithin takes an equal part of the time that is left, if there is an end to it.
func getWithin(ctx context.Context, parts int, client *http.Client, address string) ([]byte, error) {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(parts))
		defer cancel()
	}
	return get(ctx, client, address)
}

func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := outbound.ReadBody(response, maxBody)
	if err != nil {
		return nil, fmt.Errorf("%s %w", address, err)
	}
	return body, nil
}

func parse(document []byte, issuer, member string) (string, error) {
	members, err := jose.ParseObject(document)
	if err != nil {
		return "", err
	}
	// RFC 8414 section 3.3: identical, or somebody else's metadata.
	if members["issuer"] != issuer {
		return "", errors.New("metadata of another issuer")
	}
	found, ok := members[member].(string)
	if !ok {
		return "", errors.New("metadata without " + member)
	}
	return found, outbound.CheckURL(found)
}
