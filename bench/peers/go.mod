module github.com/annals-db/annals/bench/peers

go 1.26.0

require (
	github.com/bytedance/sonic v1.15.5
	github.com/go-json-experiment/json v1.27.2
	github.com/goccy/go-json v0.12.0
	github.com/segmentio/encoding v0.5.4
)

require (
	github.com/DeluxeOwl/chronicle v0.5.0 // indirect
	github.com/avast/retry-go/v4 v4.6.1 // indirect
	github.com/bytedance/gopkg v0.1.3 // indirect
	github.com/bytedance/sonic/loader v0.5.3 // indirect
	github.com/cloudwego/base64x v0.1.6 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/hallgren/eventsourcing v0.9.1 // indirect
	github.com/hallgren/eventsourcing/core v0.5.2 // indirect
	github.com/hallgren/eventsourcing/eventstore/sql v0.7.0 // indirect
	github.com/klauspost/cpuid/v2 v2.2.9 // indirect
	github.com/looplab/eventhorizon v0.16.0 // indirect
	github.com/mattn/go-sqlite3 v1.14.53 // indirect
	github.com/segmentio/asm v1.1.3 // indirect
	github.com/twitchyliquid64/golang-asm v0.15.1 // indirect
	golang.org/x/arch v0.0.0-20210923205945-b76863e36670 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.6 // indirect
)

replace github.com/annals-db/annals => ../..
