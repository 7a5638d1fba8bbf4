package main

import (
	"fmt"
	"maps"
	"slices"
)

// Product is something on the shelf. Prices are minor units (cents): a float
// cannot hold 0.10 exactly.
type Product struct {
	ID    string // also the name of its picture in static/art.svg
	Name  string
	Text  string
	Price int64
}

// catalogue is the whole shelf, in the order in which it is shown.
var catalogue = []Product{
	{ID: "coffee", Name: "Sidamo coffee", Text: "Whole beans from Ethiopia, 250 g, roasted on Tuesdays.", Price: 12_50},
	{ID: "mug", Name: "Enamel mug", Text: "Holds 350 ml, survives the dishwasher and the hillside.", Price: 14_00},
	{ID: "kettle", Name: "Stovetop kettle", Text: "Brushed steel, 1.2 litres, a spout that pours where you point.", Price: 48_00},
	{ID: "oil", Name: "Olive oil", Text: "Cold pressed, half a litre, one grove, one harvest.", Price: 13_50},
	{ID: "towel", Name: "Linen tea towel", Text: "Washed linen, gets softer for about ten years.", Price: 11_90},
	{ID: "notebook", Name: "Grid notebook", Text: "A5, 144 pages, lies flat when it is open.", Price: 9_80},
	{ID: "fern", Name: "Button fern", Text: "In a clay pot. Likes shade and a little neglect.", Price: 18_00},
	{ID: "lamp", Name: "Desk lamp", Text: "Warm light, two joints, a switch that clicks.", Price: 79_00},
}

func findProduct(id string) (Product, bool) {
	i := slices.IndexFunc(catalogue, func(p Product) bool { return p.ID == id })
	if i < 0 {
		return Product{}, false
	}
	return catalogue[i], true
}

// Money is an amount in minor units, as Tollgate's API has it.
type Money struct {
	Value    int64  `json:"value"`
	Currency string `json:"currency"`
}

// currencySymbols lists the currencies that the shop can show; all have two decimals.
var currencySymbols = map[string]string{"CHF": "CHF ", "EUR": "€", "GBP": "£", "USD": "$"}

func currencies() []string { return slices.Sorted(maps.Keys(currencySymbols)) }

// String formats the amount for people.
func (m Money) String() string {
	return fmt.Sprintf("%s%d.%02d", currencySymbols[m.Currency], m.Value/100, m.Value%100)
}
