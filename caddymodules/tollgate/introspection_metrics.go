package tollgate

import "github.com/prometheus/client_golang/prometheus"

// What came of a question: the result label.
const (
	answered = "answered"
	failed   = "failed"
)

// questions is a package variable, so that a reload does not set it back to zero.
var questions = prometheus.NewCounterVec(prometheus.CounterOpts{
	Name: "tollgate_introspections_total",
	Help: "Questions to issuers about opaque tokens, by issuer and whether they were answered.",
}, []string{"issuer", "result"})

// reportQuestion counts a question to the issuer.
func (i *Issuer) reportQuestion(yes bool) {
	result := failed
	if yes {
		result = answered
	}
	questions.WithLabelValues(i.URL, result).Inc()
}

var heldAnswers = prometheus.NewDesc("tollgate_introspection_answers",
	"Answers about opaque tokens that are held, by issuer and what they say.", []string{"issuer", "result"}, nil)

// introspectionCollector reads what is held when somebody scrapes. It belongs to one
// configuration, like that of keys.
type introspectionCollector struct{ app *App }

// Describe sends the one metric there is.
func (introspectionCollector) Describe(descs chan<- *prometheus.Desc) { descs <- heldAnswers }

// Collect sends how many answers are held. Several APIs can ask the same issuer by
// clients of their own.
func (c introspectionCollector) Collect(metrics chan<- prometheus.Metric) {
	type held struct{ good, bad int }
	byIssuer := make(map[string]held)
	seen := make(map[any]bool)
	for _, asked := range c.app.introspectors {
		if seen[asked.client] {
			continue
		}
		seen[asked.client] = true
		info, sum := asked.client.Info(), byIssuer[asked.issuer]
		byIssuer[asked.issuer] = held{sum.good + info.Good, sum.bad + info.Bad}
	}
	for issuer, sum := range byIssuer {
		metrics <- prometheus.MustNewConstMetric(heldAnswers, prometheus.GaugeValue, float64(sum.good), issuer, "active")
		metrics <- prometheus.MustNewConstMetric(heldAnswers, prometheus.GaugeValue, float64(sum.bad), issuer, "refused")
	}
}
