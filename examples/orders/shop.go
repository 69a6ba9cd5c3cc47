package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/annals-db/annals"
	"github.com/annals-db/annals/driver"
	"github.com/annals-db/annals/process"
	"github.com/annals-db/annals/projection"
	"github.com/annals-db/annals/stores"
)

// apps are the names of the applications, each with a log of its own.
var apps = []string{"orders", "fulfilment", "payments", "shipping"}

// shop is the logs of the applications and the read model, open in this process.
// Other processes may have them open too.
type shop struct {
	logs      map[string]driver.Log
	dbs       map[string]*annals.DB
	readModel *sql.DB
}

// openShop opens the shop in dir; url is where the logs are, with {app} for the
// name of the application, "" for SQLite files in dir.
func openShop(ctx context.Context, dir, url string) (*shop, error) {
	if url == "" {
		url = "sqlite:" + filepath.Join(dir, "{app}.db")
	}
	s := &shop{logs: map[string]driver.Log{}, dbs: map[string]*annals.DB{}}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, name := range apps {
		log, err := stores.Open(ctx, strings.ReplaceAll(url, "{app}", name), nil)
		if err != nil {
			s.close()
			return nil, err
		}
		s.logs[name], s.dbs[name] = log, annals.New(log, nil)
	}
	var err error
	if s.readModel, err = openReadModel(dir); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *shop) close() (err error) {
	if s.readModel != nil {
		err = s.readModel.Close()
	}
	for _, log := range s.logs {
		err = errors.Join(err, log.Close())
	}
	return err
}

// settings are what a run can be told.
type settings struct {
	deadline time.Duration // to pay
	packing  time.Duration // of a parcel
}

// system joins the applications: the process manager stands between the others.
func (s *shop) system(set settings) (*process.System, error) {
	orders, payments := ordersApp(s.dbs["orders"]), paymentsApp(s.dbs["payments"])
	shipping, fulfilment := shippingApp(s.dbs["shipping"], set.packing), fulfilmentApp(s.dbs["fulfilment"], set.deadline)
	return process.NewSystem(nil,
		process.Pipe(orders, fulfilment, payments, fulfilment, shipping, fulfilment, orders))
}

// overview opens the projection of the read model.
func (s *shop) overview(ctx context.Context) (*projection.Runner, error) {
	return overview.Open(ctx, s.dbs["orders"], projection.SQLite(s.readModel), nil)
}

// run runs the system and the projection until ctx ends.
func (s *shop) run(ctx context.Context, set settings, only []string) error {
	system, err := s.system(set)
	if err != nil {
		return err
	}
	runner, err := s.overview(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		err := runner.Run(ctx)
		cancel()
		ended <- err
	}()
	err = system.Run(ctx, only...)
	cancel()
	if readModel := <-ended; errors.Is(err, context.Canceled) {
		err = readModel
	}
	return err
}

// settle does what is to be done now, and no more.
func (s *shop) settle(ctx context.Context, set settings) error {
	system, err := s.system(set)
	if err != nil {
		return err
	}
	if err := system.Settle(ctx); err != nil {
		return err
	}
	info, err := s.logs["orders"].Info(ctx)
	if err != nil {
		return err
	}
	runner, err := s.overview(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	err = runner.Wait(ctx, info.Head)
	cancel()
	if e := <-ended; err == nil && !errors.Is(e, context.Canceled) {
		err = e
	}
	return err
}
