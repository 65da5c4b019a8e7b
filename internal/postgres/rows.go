package postgres

import (
	"time"

	"github.com/postrider/postrider"
)

// values are a row's columns: those of the delivery, then those of its attempt if the batch has just one.
func (r *row) values() []any {
	f := &r.Record
	list := []any{f.Tenant, [16]byte(f.ID), f.TargetID, f.Event.Size, f.UpdatedAt, when(f.NextAt), int32(f.Generation), int32(f.Attempts),
		string(f.State), string(f.Reason), text(f.Event.ID), text(f.Event.Type), text(f.Event.ContentType), text(string(f.Event.Position))}
	if len(r.Attempts) != 1 {
		return append(list, nil, nil, nil, nil, nil, nil, nil)
	}
	return append(list, attemptValues(&r.Attempts[0])...)
}

func attemptValues(a *postrider.Attempt) []any {
	return []any{int32(a.Number), startedAt(a), a.Duration.Microseconds(), int32(a.Status), string(a.Class), text(a.Error), a.Head}
}

// startedAt is the start of an attempt as the tables keep it.
func startedAt(a *postrider.Attempt) time.Time { return a.StartedAt.Truncate(time.Microsecond) }

func rowArrays(rows []row) []any {
	arrays := []any{
		column(rows, func(r *row) string { return r.Record.Tenant }), column(rows, func(r *row) [16]byte { return r.Record.ID }),
		column(rows, func(r *row) int64 { return r.Record.TargetID }), column(rows, func(r *row) int64 { return r.Record.Event.Size }),
		column(rows, func(r *row) time.Time { return r.Record.UpdatedAt }), column(rows, func(r *row) *time.Time { return when(r.Record.NextAt) }),
		column(rows, func(r *row) int32 { return int32(r.Record.Generation) }), column(rows, func(r *row) int32 { return int32(r.Record.Attempts) }),
		column(rows, func(r *row) string { return string(r.Record.State) }), column(rows, func(r *row) string { return string(r.Record.Reason) }),
		column(rows, func(r *row) string { return text(r.Record.Event.ID) }), column(rows, func(r *row) string { return text(r.Record.Event.Type) }),
		column(rows, func(r *row) string { return text(r.Record.Event.ContentType) }),
		column(rows, func(r *row) string { return text(string(r.Record.Event.Position)) }),
	}
	return append(arrays,
		column(rows, only(func(a *postrider.Attempt) int32 { return int32(a.Number) })), column(rows, only(startedAt)),
		column(rows, only(func(a *postrider.Attempt) int64 { return a.Duration.Microseconds() })),
		column(rows, only(func(a *postrider.Attempt) int32 { return int32(a.Status) })),
		column(rows, only(func(a *postrider.Attempt) string { return string(a.Class) })),
		column(rows, only(func(a *postrider.Attempt) string { return text(a.Error) })),
		column(rows, func(r *row) []byte {
			if len(r.Attempts) == 1 {
				return r.Attempts[0].Head
			}
			return nil
		}))
}

// only is a value of a row's attempt if it has just one, else null.
func only[T any](value func(*postrider.Attempt) T) func(*row) *T {
	return func(r *row) *T {
		if len(r.Attempts) != 1 {
			return nil
		}
		v := value(&r.Attempts[0])
		return &v
	}
}

// owned is an attempt and the delivery that it is of.
type owned struct {
	record  *postrider.DeliveryRecord
	attempt *postrider.Attempt
}

func (o *owned) values() []any {
	return append([]any{[16]byte(o.record.ID)}, attemptValues(o.attempt)...)
}

// ownedBy lists the attempts of the rows that have at least so many.
func ownedBy(rows []row, least int) []owned {
	var list []owned
	for i := range rows {
		if len(rows[i].Attempts) < least {
			continue
		}
		for j := range rows[i].Attempts {
			list = append(list, owned{&rows[i].Record, &rows[i].Attempts[j]})
		}
	}
	return list
}

// attemptArrays are the attempts of rows as columns, and how many there are.
func attemptArrays(rows []row) ([]any, int) {
	list := ownedBy(rows, 1)
	return []any{
		column(list, func(o *owned) string { return o.record.Tenant }), column(list, func(o *owned) [16]byte { return o.record.ID }),
		column(list, func(o *owned) int32 { return int32(o.attempt.Number) }), column(list, func(o *owned) time.Time { return startedAt(o.attempt) }),
		column(list, func(o *owned) int64 { return o.attempt.Duration.Microseconds() }), column(list, func(o *owned) int32 { return int32(o.attempt.Status) }),
		column(list, func(o *owned) string { return string(o.attempt.Class) }), column(list, func(o *owned) string { return text(o.attempt.Error) }),
		column(list, func(o *owned) []byte { return o.attempt.Head }),
	}, len(list)
}
