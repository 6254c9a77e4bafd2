package core

// FilterSpec is one entry of a filters list, decoded and checked but not yet built.
type FilterSpec struct {
	Kind    *Kind
	Name    string // from name:, else the kind's, with #2, #3 ... when it repeats in its list
	Config  any    // what Kind.New returned, filled
	When    *Condition
	OnError OnError
	Pos     string // file:line:column
	Hash    string // of the configuration as written: its identity over reloads
}

// FilterList is a filters: list in a configuration struct. Named filters and chains have been
// put in place of their names.
type FilterList []FilterSpec
