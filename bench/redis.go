package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// KindRedis is what a shop would use instead: fasthttp, one Lua script, and a
// Redis with a replica, both syncing every write, the answer after WAIT 1.
const KindRedis = "redis-replica"

// redisGrab takes a unit for a shopper who has none: the usual script.
var redisGrab = redis.NewScript(`
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 2 end
if tonumber(redis.call('GET', KEYS[1]) or '0') <= 0 then return 0 end
redis.call('DECR', KEYS[1])
redis.call('SADD', KEYS[2], ARGV[1])
return 1`)

// RedisInstalled tells whether a Redis can be measured here.
func RedisInstalled() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}

// RedisPair is a Redis and its replica, each a process of its own on loopback,
// with appendfsync always, below dir. Close ends both.
type RedisPair struct {
	Addr  string // of the first
	nodes []*exec.Cmd
}

// StartRedisPair starts one and waits until the replica follows.
func StartRedisPair(ctx context.Context, dir string) (p *RedisPair, err error) {
	p = &RedisPair{}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	for i := range 2 {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		_, port, _ := net.SplitHostPort(addr)
		home := filepath.Join(dir, fmt.Sprintf("redis-%d", i+1))
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
		args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", home, "--appendonly", "yes",
			"--appendfsync", "always",
			"--save", "", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--maxclients", "4096"}
		if i == 0 {
			p.Addr = addr
		} else {
			_, first, _ := net.SplitHostPort(p.Addr)
			args = append(args, "--replicaof", "127.0.0.1 "+first)
		}
		c := exec.Command("redis-server", args...)
		if err := c.Start(); err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, c)
	}
	client := redis.NewClient(&redis.Options{Addr: p.Addr})
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		info, err := client.Info(ctx, "replication").Result()
		if err == nil && strings.Contains(info, "state=online") {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the replica does not follow: %w: %s", ctx.Err(), info)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Close ends both processes.
func (p *RedisPair) Close() error {
	var errs []error
	for _, c := range p.nodes {
		if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
		_ = c.Wait() // it was killed, and says so
	}
	p.nodes = nil
	return errors.Join(errs...)
}

func freeAddr() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}

// ServeRedis answers grabs on ln out of the Redis at addr, as a shop would: one
// script and one WAIT a grab, in one round trip, over as many connections as
// there are requests. The stock is units. It returns when ln is closed.
func ServeRedis(ctx context.Context, ln net.Listener, addr string, units int64, connections int) error {
	client := redis.NewClient(&redis.Options{Addr: addr, PoolSize: connections, MinIdleConns: connections,
		ReadTimeout: 10 * time.Second})
	defer client.Close()
	if err := client.Set(ctx, "stock", units, 0).Err(); err != nil {
		return err
	}
	if err := redisGrab.Load(ctx, client).Err(); err != nil {
		return err
	}
	granted, gone, had := []byte(`{"code":"granted"}`), []byte(helloBody), []byte(`{"code":"limit_reached"}`)
	keys := []string{"stock", "shoppers"}
	s := &fasthttp.Server{
		Handler: func(rc *fasthttp.RequestCtx) {
			shopper := string(rc.Request.Header.Peek("X-Shopper-Id"))
			pipe := client.Pipeline()
			grab := redisGrab.EvalSha(ctx, pipe, keys, shopper)
			wait := pipe.Do(ctx, "WAIT", 1, 5000)
			if _, err := pipe.Exec(ctx); err != nil {
				rc.Error(err.Error(), fasthttp.StatusInternalServerError)
				return
			}
			rc.Response.Header.SetContentType("application/json")
			n, err := grab.Int()
			replicas, waited := wait.Int()
			switch {
			case err != nil || waited != nil || replicas < 1:
				rc.Error("not replicated", fasthttp.StatusInternalServerError)
			case n == 1:
				rc.Response.SetBodyRaw(granted)
			case n == 2:
				rc.Response.SetBodyRaw(had)
			default:
				rc.Response.SetBodyRaw(gone)
			}
		},
		Name: "redis", ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	return s.Serve(ln)
}
