package main

import (
	"fmt"

	"github.com/postrider/postrider/internal/app"
)

type backupCommand struct {
	Data string `help:"Data folder; a server may be using it." default:"./postrider-data"`
	File string `arg:"" help:"File to make. It must not exist."`
}

// Help stands below the flags.
func (*backupCommand) Help() string {
	return `Copies everything that was acknowledged so far, as it is at one moment, while the server goes on. The copy is complete once it has its
name. It does not hold the keys: without secret.key the secrets in it can't be read, so keep that too, and apart.

To restore, put the copy into an empty folder as postrider.db, secret.key and admin.key beside it, and start serve on the folder. What
had not been delivered when the copy was made is delivered, if need be once more.`
}

// Run makes the copy.
func (b *backupCommand) Run(e *env) error {
	if err := app.Backup(e.ctx, b.Data, b.File); err != nil {
		return err
	}
	_, err := fmt.Fprintf(e.err, "copied to %s\n", b.File)
	return err
}
