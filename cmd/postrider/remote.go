package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/postrider/postrider/client"
	"github.com/postrider/postrider/internal/app"
)

// remote says which server a command speaks to, and with which key.
type remote struct {
	Server string `help:"URL of the server, with its base path if it has one." default:"http://127.0.0.1:8400" env:"POSTRIDER_SERVER" group:"Server"`
	Key    string `help:"Key of the API; if not given, the one in DATA/admin.key." placeholder:"KEY" env:"POSTRIDER_KEY" group:"Server"`
	Data   string `help:"Folder of a server on this machine, where its admin key is." default:"./postrider-data" env:"POSTRIDER_DATA" group:"Server"`
}

// tenancy lets the admin key act for a tenant.
type tenancy struct {
	Tenant string `help:"Tenant to act for, with the admin key." env:"POSTRIDER_TENANT" group:"Server"`
}

// key is the key that was given, or that of the server on this machine.
func (r *remote) key() (string, error) {
	if r.Key != "" {
		return r.Key, nil
	}
	path := filepath.Join(r.Data, app.AdminKeyFile)
	key, err := app.ReadKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no key: give --key or POSTRIDER_KEY, or say by --data where the server's folder is (there is no %s)", path)
	}
	return key, err
}

// connect makes the client of the server.
func (r *remote) connect(tenant string) (*client.Client, error) {
	key, err := r.key()
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{URL: r.Server, Key: key, Tenant: tenant})
}
