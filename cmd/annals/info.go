package main

import (
	"encoding/hex"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/annals-db/annals/driver"
)

func (a *app) infoCommand() *cobra.Command {
	var hash bool
	cmd := &cobra.Command{
		Use:   "info",
		Short: "Print which log this is, where it stands and its limits",
		Example: `  annals info
  annals info --hash -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.info(cmd, hash) },
	}
	cmd.Flags().BoolVar(&hash, "hash", false, "also the running hash at the head, by which copies compare")
	return cmd
}

// infoJSON is what info prints.
type infoJSON struct {
	Store      string `json:"store"`
	Kind       string `json:"kind"`
	LogID      string `json:"log_id"`
	Head       uint64 `json:"head"`
	Time       string `json:"time,omitempty"`
	Hash       string `json:"hash,omitempty"`
	Durability string `json:"durability"`
	Limits     struct {
		EventBytes  int `json:"event_bytes"`
		BatchBytes  int `json:"batch_bytes"`
		BatchEvents int `json:"batch_events"`
		NameBytes   int `json:"name_bytes"`
	} `json:"limits"`
}

func (a *app) info(cmd *cobra.Command, hash bool) error {
	log, err := a.open(toRead)
	if err != nil {
		return err
	}
	defer log.Close()
	i, err := log.Info(cmd.Context())
	if err != nil {
		return err
	}
	out := infoJSON{Store: redact(a.storeURL()), Kind: i.Store, LogID: i.LogID.String(), Head: uint64(i.Head), Durability: i.Durability}
	out.Limits.EventBytes, out.Limits.BatchBytes = i.Limits.EventBytes, i.Limits.BatchBytes
	out.Limits.BatchEvents, out.Limits.NameBytes = i.Limits.BatchEvents, i.Limits.NameBytes
	if !i.Time.IsZero() {
		out.Time = i.Time.UTC().Format(time.RFC3339Nano)
	}
	if hash {
		h, ok := log.(driver.Hasher)
		if !ok {
			return fmt.Errorf("a %s store does not compute its running hash", i.Store)
		}
		sum, err := h.TreeHead(cmd.Context(), i.Head)
		if err != nil {
			return err
		}
		out.Hash = hex.EncodeToString(sum[:])
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	list := [][2]string{
		{"store", out.Store}, {"kind", out.Kind}, {"log ID", out.LogID}, {"head", fmt.Sprint(out.Head)}, {"time of head", out.Time},
		{"durability", out.Durability}, {"largest event", fmt.Sprintf("%d bytes", out.Limits.EventBytes)},
		{"largest batch", fmt.Sprintf("%d events, %d bytes", out.Limits.BatchEvents, out.Limits.BatchBytes)},
		{"longest name", fmt.Sprintf("%d bytes", out.Limits.NameBytes)},
	}
	if hash {
		list = append(list, [2]string{"running hash", out.Hash})
	}
	return a.one(text, list)
}
