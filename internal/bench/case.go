package bench

import (
	"fmt"
	"slices"
	"strings"
)

// Case is one thing that is measured.
type Case struct {
	Name   string
	About  string
	Remote bool // makes sense on engines that are not embedded
	Local  bool // makes sense on the embedded engines
	Split  bool // needs several processes
	run    func(*run) error
}

// Cases lists all cases, in the order in which they are run.
func Cases() []*Case {
	return []*Case{
		{Name: "ground", About: "what the figures stand on: fsync, a bare POST", Local: true, Remote: true, run: ground},
		{Name: "idle", About: "doing nothing, with the defaults", Local: true, run: idle},
		{Name: "saturated", About: "1 KB events, one target, 64 publishers, as fast as it goes", Local: true, Remote: true, run: saturated},
		{Name: "steady", About: "1 KB events, one target, at an even rate", Local: true, Remote: true, run: steady},
		{Name: "fanout", About: "one event to 500 targets", Local: true, Remote: true, run: fanout},
		{Name: "batch", About: "intake by batch, of a type that nobody subscribes to", Local: true, Remote: true, run: batch},
		{Name: "large", About: "10 MB to 40 targets; 64 publishers of 16 MiB at once", Local: true, run: large},
		{Name: "backlog", About: "deliveries beside very many undelivered ones of another target", Local: true, run: backlog},
		{Name: "retries", About: "very many retries that wait, and many that are due at once", Local: true, run: retries},
		{Name: "scale", About: "two dispatchers against one, targets that answer after 100 ms; two consumers against one", Split: true, run: scale},
		{Name: "dispatcher", About: "CPU of a dispatcher per delivery, against the embedded one", Split: true, run: dispatcher},
		{Name: "consumer", About: "a consumer against a bare loop of poll and SendMessageBatch", Split: true, run: consumer},
		{Name: "archiver", About: "an archiver against a bare COPY of the same rows", Split: true, run: archiver},
		{Name: "requests", About: "requests to SQS per delivery: of one tenant, of 1,000, of one event to 100 targets", Split: true, run: requests},
		{Name: "pending", About: "very many retries that wait in SQS, and what they cost the retry manager", Split: true, run: pending},
	}
}

// selected are the cases that were named, else those that fit the engines.
func selected(o Options) ([]*Case, error) {
	all := Cases()
	var list []*Case
	if len(o.Cases) == 0 {
		for _, c := range all {
			if c.fits(o) {
				list = append(list, c)
			}
		}
		return list, nil
	}
	for _, name := range o.Cases {
		i := slices.IndexFunc(all, func(c *Case) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no case %q; use %s", name, strings.Join(names(all), ", "))
		}
		if all[i].Split && !o.Split {
			return nil, fmt.Errorf("case %q needs one process a role, and so engines other than sqlite: for every seam", name)
		}
		list = append(list, all[i])
	}
	return list, nil
}

func (c *Case) fits(o Options) bool {
	if c.Split {
		return o.Split
	}
	return o.Remote && c.Remote || !o.Remote && c.Local
}

func names(cases []*Case) []string {
	list := make([]string, len(cases))
	for i, c := range cases {
		list[i] = c.Name
	}
	return list
}
