package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/annals-db/annals/group"
)

func (a *app) groupCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "group",
		Short: "Look at consumer groups: workers, partitions, lag, what is parked",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.groupLs(), a.groupShow())
	return cmd
}

// groupJSON is a group as ls prints it.
type groupJSON struct {
	Group      string `json:"group"`
	By         string `json:"by"`
	Members    int    `json:"members"`
	Partitions int    `json:"partitions"`
	Lag        uint64 `json:"lag"` // of the partition that is furthest behind
	Parked     int    `json:"parked"`
}

func (a *app) groupLs() *cobra.Command {
	return &cobra.Command{
		Use: "ls", Short: "List consumer groups",
		Example: `  annals group ls`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := a.open(toRead)
			if err != nil {
				return err
			}
			defer log.Close()
			names, err := group.List(cmd.Context(), log)
			if err != nil {
				return err
			}
			p := a.printer("GROUP", "BY", "MEMBERS", "PARTITIONS", "LAG", "PARKED")
			for _, name := range names {
				s, err := group.Inspect(cmd.Context(), log, name)
				if err != nil {
					return err
				}
				g := groupJSON{s.Name, s.By, len(s.Members), len(s.Partitions), 0, len(s.Parked)}
				for _, part := range s.Partitions {
					g.Lag = max(g.Lag, part.Lag)
				}
				text, err := json.Marshal(g)
				if err != nil {
					return err
				}
				p.add(item{text, []string{g.Group, g.By, fmt.Sprint(g.Members), fmt.Sprint(g.Partitions), fmt.Sprint(g.Lag), fmt.Sprint(g.Parked)}})
			}
			return p.finish()
		},
	}
}

// partitionJSON is a partition as show prints it.
type partitionJSON struct {
	Partition int    `json:"partition"`
	Worker    string `json:"worker,omitempty"`
	Token     uint64 `json:"token"`
	Position  uint64 `json:"position"`
	Lag       uint64 `json:"lag"`
	Parked    int    `json:"parked"`
}

func (a *app) groupShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Show a group's partitions, who has them and where they are",
		Long:    "Show a group's partitions: who has each, how far it is, what is parked. annals dead\nls group/NAME lists the parked events.",
		Example: `  annals group show mail`,
		Args:    between(1, 1, "one NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			log, err := a.open(toRead)
			if err != nil {
				return err
			}
			defer log.Close()
			s, err := group.Inspect(cmd.Context(), log, args[0])
			if err != nil {
				return err
			}
			p := a.printer("PARTITION", "WORKER", "TOKEN", "POSITION", "LAG", "PARKED")
			for _, part := range s.Partitions {
				j := partitionJSON{part.Number, part.Worker, part.Token, uint64(part.Position), part.Lag, part.Parked}
				text, err := json.Marshal(j)
				if err != nil {
					return err
				}
				p.add(item{text, []string{fmt.Sprint(j.Partition), j.Worker, fmt.Sprint(j.Token), fmt.Sprint(j.Position), fmt.Sprint(j.Lag), fmt.Sprint(j.Parked)}})
			}
			return p.finish()
		},
	}
}
