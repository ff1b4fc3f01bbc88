package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"doorbuster/cmd/doorbuster/cli"
	"doorbuster/engine"
	"doorbuster/httpapi/auth"
)

func newTokenCommand() *cobra.Command {
	var sub, role, supplier, issuer, keyFile string
	var ttl time.Duration
	c := &cobra.Command{
		Use:   "token --sub ID --key-file FILE",
		Short: "Make a shopper's or an operator's token, for trying out",
		Long: `Make a token (JWT, HS256) signed with the secret in --key-file. Without --role
it is a shopper's, to be checked with --shopper-key-file; with a role it is an
operator's, to be checked with --ops-key-file. The role supplier is for --supplier's own
products, and for nothing else. In production your identity provider makes them.`,
		Example: `  doorbuster token --sub alice --key-file shopper.key
  doorbuster token --sub olga --role operator --ttl 8h --key-file ops.key
  doorbuster token --sub acme-feed --role supplier --supplier acme --ttl 720h --key-file ops.key`,
		Args: cli.NoArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			if sub == "" || keyFile == "" {
				return cli.Usage(fmt.Errorf("--sub and --key-file are required"))
			}
			if !engine.ValidShopper(sub) {
				return cli.Usage(fmt.Errorf("--sub: %q is not 1 to %d printable characters without spaces", sub,
					engine.MaxShopperBytes))
			}
			if ttl < time.Second {
				return cli.Usage(fmt.Errorf("--ttl: %s is under 1s", ttl))
			}
			kind := auth.Shoppers
			switch role {
			case "":
			case "viewer", "operator", "admin", "supplier":
				kind = auth.Operators
			default:
				return cli.Usage(fmt.Errorf("--role: there is no %q; take viewer, operator, admin or supplier", role))
			}
			if role == "supplier" && !engine.ValidID(supplier) {
				return cli.Usage(fmt.Errorf("--supplier: %q is no id of a supplier, which --role supplier needs: 1 "+
					"to %d "+
					"letters, digits, dots, dashes and underscores", supplier, engine.MaxIDBytes))
			}
			if role != "supplier" && supplier != "" {
				return cli.Usage(fmt.Errorf("--supplier: it is for --role supplier only"))
			}
			secret, err := readSigningKey(keyFile)
			if err != nil {
				return err
			}
			token, err := auth.Claims{Audience: kind, Subject: sub, Role: auth.Role(role), Supplier: supplier,
				Issuer: issuer, TTL: ttl}.Sign(secret, time.Now())
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), token)
			return nil
		},
	}
	c.Flags().StringVar(&sub, "sub", "", "who it is for: a shopper's or an operator's `id`")
	c.Flags().StringVar(&role, "role", "", "viewer, operator, admin or supplier; empty makes a shopper's token")
	c.Flags().StringVar(&supplier, "supplier", "", "with --role supplier: the supplier whose products it is for, by "+
		"`id`")
	c.Flags().StringVar(&issuer, "issuer", "", "its issuer, where the node asks for one (--shopper-issuer, "+
		"--ops-issuer)")
	c.Flags().StringVar(&keyFile, "key-file", "", "`file` with the secret")
	c.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long it is good for")
	return c
}
