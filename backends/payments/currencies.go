package payments

import (
	"encoding/json"
	"time"

	"github.com/open-tollgate/tollgate/backends/internal/money"
	"github.com/open-tollgate/tollgate/backends/internal/rest"
)

// currencyView is a currency that amounts can be in.
type currencyView struct {
	Code          string `json:"code"`
	DecimalPlaces int    `json:"decimal_places"`
}

// listCurrencies tells everybody the currencies there are. The list changes with a
// release, and once in some years.
func listCurrencies() rest.Endpoint {
	var answer struct {
		Data []currencyView `json:"data"`
	}
	for _, code := range money.Currencies() {
		places, _ := money.Exponent(code)
		answer.Data = append(answer.Data, currencyView{code, places})
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // two plain fields always marshal
	}
	return rest.Constant("application/json", 24*time.Hour, append(body, '\n'))
}
