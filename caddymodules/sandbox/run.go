package sandbox

import (
	"runtime"

	"github.com/open-tollgate/tollgate/internal/policy"
	"github.com/open-tollgate/tollgate/internal/policy/cases"
	"github.com/open-tollgate/tollgate/internal/policy/mint"
)

// Run runs cases against a configuration in Caddy's JSON, in as many sandboxes as there
// are processors. The notes tell what is not as the configuration says.
func Run(config []byte, files []*cases.File, options Options) (result *cases.Result, notes []string, err error) {
	model, err := policy.Parse(config)
	if err != nil {
		return nil, nil, err
	}
	if options.Mint == nil {
		options.Mint = mint.New()
	}
	first, err := New(config, options)
	if err != nil {
		return nil, nil, err
	}
	ready := make(chan cases.Edge, 1)
	ready <- first
	defer func() {
		select {
		case edge := <-ready: // there were no cases
			edge.Close()
		default:
		}
	}()
	runner := &cases.Runner{Config: model, Mint: options.Mint, Workers: runtime.GOMAXPROCS(0), Open: func() (cases.Edge, error) {
		select {
		case edge := <-ready:
			return edge, nil
		default:
			return New(config, options)
		}
	}}
	result, err = runner.Run(files)
	return result, first.Notes(), err
}
