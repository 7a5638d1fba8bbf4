package policy

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// A rule compares a setting as it was and as it is; nil stands for one that is left out.
// It tells what it knows of the difference, and says whether that is all there is to tell.
type rule func(d *differ, at string, was, is any) (all bool)

// byName are the rules of an object's members, by name.
type byName map[string]rule

// settings compares what holds for all requests and that no single one shows. Nothing is
// passed over: what differs is told by a rule that knows it, or counts as wider.
func (d *differ) settings() {
	d.setting("", map[string]any(d.old.tree), map[string]any(d.new.tree), inside(byName{
		"admin": admin,
		"apps": inside(byName{
			"http":     inside(byName{"servers": shown}), // pair by pair
			"tollgate": inside(tollgateRules),
			"tls":      inside(nil), // nothing in them is as good as leaving them out
			"pki":      inside(nil),
		}),
	}))
	for _, p := range d.servers {
		d.server(p.old, p.new)
	}
	for _, p := range d.taken {
		d.tell(Widened, "/apps/http/servers/"+p.new.Name+"/listen", "takes requests that another server took", p.old.addresses(), p.new.addresses())
	}
	d.apis()
}

// setting compares one by its rule.
func (d *differ) setting(at string, was, is any, r rule) {
	if reflect.DeepEqual(was, is) || r != nil && r(d, at, was, is) {
		return
	}
	d.unknown(at, was, is)
}

// unknown tells what no rule claims, as near to its place as can be said.
func (d *differ) unknown(at string, was, is any) {
	if reflect.DeepEqual(was, is) {
		return
	}
	old, wasObject := was.(map[string]any)
	new, isObject := is.(map[string]any)
	if wasObject && isObject {
		for _, name := range names(old, new) {
			d.unknown(below(at, name), old[name], new[name])
		}
		return
	}
	before, wasList := was.([]any)
	after, isList := is.([]any)
	if wasList && isList && len(before) == len(after) {
		for n := range before {
			d.unknown(fmt.Sprintf("%s/%d", at, n), before[n], after[n])
		}
		return
	}
	d.tell(Widened, at, at[strings.LastIndexByte(at, '/')+1:]+": changed, in a way that is not analysed", was, is)
}

// names gives those of both, in order.
func names(a, b map[string]any) []string {
	all := maps.Clone(a)
	if all == nil {
		all = make(map[string]any)
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// below gives the place of a member as a JSON pointer (RFC 6901 section 3).
func below(at, name string) string {
	return at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// tell notes a change of a setting.
func (d *differ) tell(direction Direction, at, what string, was, is any) {
	d.tellOf("", direction, at, what, was, is)
}

func (d *differ) tellOf(api string, direction Direction, at, what string, was, is any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes["setting "+string(direction)+at+" "+what] = &Change{Direction: direction, API: api, What: what, Rule: Step{At: at, What: "setting"}, Old: toldAt(at, was), New: toldAt(at, is)}
}

// maxTold bounds how much of a value is told.
const maxTold = 300

// toldAt is told for what is at a place: its name may say that it is secret.
func toldAt(at string, value any) string {
	if secretName.MatchString(at[strings.LastIndexByte(at, '/')+1:]) {
		value = withoutTexts(copied(value))
	}
	return told(value)
}

// told is a value for a reader, without what looks like a secret.
func told(value any) string {
	if value == nil {
		return "left out"
	}
	text, isText := value.(string)
	if !isText {
		text = compact(withoutSecrets(copied(value)))
	}
	if text = publicText(text); len(text) > maxTold {
		text = strings.ToValidUTF8(text[:maxTold], "") + "..."
	}
	return text
}

// copied is a value of JSON that can be changed.
func copied(value any) any {
	switch value := value.(type) {
	case map[string]any:
		object := maps.Clone(value)
		for name, member := range object {
			object[name] = copied(member)
		}
		return object
	case []any:
		list := slices.Clone(value)
		for n, element := range list {
			list[n] = copied(element)
		}
		return list
	default:
		return value
	}
}

// inside compares member by member. An object without members is as good as none.
func inside(rules byName) rule {
	return func(d *differ, at string, was, is any) bool {
		old, wasObject := was.(map[string]any)
		new, isObject := is.(map[string]any)
		if was != nil && !wasObject || is != nil && !isObject {
			return false
		}
		for _, name := range names(old, new) {
			d.setting(below(at, name), old[name], new[name], rules[name])
		}
		return true
	}
}

// shown is of what requests are compared for, or of what is told at another place.
func shown(*differ, string, any, any) bool { return true }

// changed is of what has no order: each side may be the wider one.
func changed(what string) rule {
	return func(d *differ, at string, was, is any) bool {
		d.tell(Widened, at, what, was, is)
		return true
	}
}

// rank tells a change of a setting whose higher values let more happen.
func (d *differ) rank(at, what string, old, new int64, was, is any) {
	d.rankOf("", at, what, old, new, was, is)
}

func (d *differ) rankOf(api, at, what string, old, new int64, was, is any) {
	switch direction := cmp.Compare(new, old); {
	case direction > 0:
		d.tellOf(api, Widened, at, what, was, is)
	case direction < 0:
		d.tellOf(api, Narrowed, at, what, was, is)
	}
}

func (d *differ) flag(at, what string, old, new bool) {
	d.rank(at, what, rankOf(old), rankOf(new), onOff(old), onOff(new))
}

func rankOf(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// opens is of a switch that lets more happen while it is on, and closes of one that lets
// less; leftOut is what it says where it is not there.
func opens(what string, leftOut bool) rule  { return switches(what, leftOut, false) }
func closes(what string, leftOut bool) rule { return switches(what, leftOut, true) }

func switches(what string, leftOut, closing bool) rule {
	return func(d *differ, at string, was, is any) bool {
		old, wasSwitch := orDefault(was, leftOut).(bool)
		new, isSwitch := orDefault(is, leftOut).(bool)
		if !wasSwitch || !isSwitch {
			return false
		}
		d.rank(at, what, rankOf(old != closing), rankOf(new != closing), onOff(old), onOff(new))
		return true
	}
}

func orDefault(value any, leftOut any) any {
	if value == nil {
		return leftOut
	}
	return value
}

// grows is of a list of what is let in. The same in another order is for others to judge.
func grows(what string) rule { return growsFrom(what, nil) }

// growsFrom says what an empty list stands for.
func growsFrom(what string, empty []string) rule {
	return func(d *differ, at string, was, is any) bool {
		old, wasTexts := texts(was)
		new, isTexts := texts(is)
		if !wasTexts || !isTexts {
			return false
		}
		if len(old) == 0 {
			old = empty
		}
		if len(new) == 0 {
			new = empty
		}
		return d.grown("", at, what, old, new) || slices.Equal(old, new)
	}
}

// grown tells what a list has more and less, and says whether it has.
func (d *differ) grown(api, at, what string, old, new []string) bool {
	more, less := len(missing(new, old)) > 0, len(missing(old, new)) > 0
	was, is := strings.Join(old, " "), strings.Join(new, " ")
	if more {
		d.tellOf(api, Widened, at, what, was, is)
	}
	if less {
		d.tellOf(api, Narrowed, at, what, was, is)
	}
	return more || less
}

// missing gives what is in the first and not in the second.
func missing(all, in []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(in, s) })
}

// texts reads a list of texts.
func texts(value any) (all []string, ok bool) {
	elements, isList := value.([]any)
	for _, element := range elements {
		text, isText := element.(string)
		if !isText {
			return nil, false
		}
		all = append(all, text)
	}
	return all, isList || value == nil
}
