package main

import (
	"fmt"
	"text/tabwriter"
	"time"
)

type keysCommand struct {
	Create keysCreate `cmd:"" help:"Make a key that acts for a tenant; it is shown once."`
	List   keysList   `cmd:"" help:"List the keys of a tenant."`
	Delete keysDelete `cmd:"" help:"Delete a key; it is refused within a second."`
}

type keysCreate struct {
	remote
	Tenant string `arg:"" help:"Tenant; it needs no registration."`
	Name   string `help:"Name to tell keys apart by."`
}

// Run makes a key and prints it.
func (k *keysCreate) Run(e *env) error {
	c, err := k.connect("")
	if err != nil {
		return err
	}
	key, err := c.CreateKey(e.ctx, k.Tenant, k.Name)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.err, "key %d of tenant %s; it is shown this once:\n", key.ID, k.Tenant)
	e.out.printf("%s", key.Key)
	return nil
}

type keysList struct {
	remote
	Tenant string `arg:"" help:"Tenant."`
}

// Run lists keys.
func (k *keysList) Run(e *env) error {
	c, err := k.connect("")
	if err != nil {
		return err
	}
	keys, err := c.Keys(e.ctx, k.Tenant)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tCREATED\tNAME")
	for _, key := range keys {
		fmt.Fprintf(table, "%d\t%s\t%s\n", key.ID, key.CreatedAt.Format(time.RFC3339), printable(key.Name))
	}
	return table.Flush()
}

type keysDelete struct {
	remote
	Tenant string `arg:"" help:"Tenant."`
	ID     int64  `arg:"" help:"Id of the key, from keys list."`
}

// Run deletes a key.
func (k *keysDelete) Run(e *env) error {
	c, err := k.connect("")
	if err != nil {
		return err
	}
	return c.DeleteKey(e.ctx, k.Tenant, k.ID)
}
