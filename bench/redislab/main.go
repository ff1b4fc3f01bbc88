// Command redislab is what a shop would use instead of Doorbuster, for 'doorbuster bench
// http' to measure: fasthttp, one Lua script, and a Redis that syncs every write before
// it answers; with REPLICAS 1 also a replica that does, the answer after WAIT 1.
//
//	redislab DIR UNITS CONNECTIONS REPLICAS
//
// starts each Redis below DIR on loopback, sells UNITS, says on its first line where it
// listens, and ends when its standard input does. It is a program of its own so that
// what serves is built without a Redis client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/valyala/fasthttp"
)

// grab takes a unit for a shopper who has none: the usual script.
var grab = redis.NewScript(`
if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 then return 2 end
if tonumber(redis.call('GET', KEYS[1]) or '0') <= 0 then return 0 end
redis.call('DECR', KEYS[1])
redis.call('SADD', KEYS[2], ARGV[1])
return 1`)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "redislab:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) (err error) {
	if len(args) != 4 {
		return errors.New("usage: redislab DIR UNITS CONNECTIONS REPLICAS")
	}
	connections, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	replicas, err := strconv.Atoi(args[3])
	if err != nil || replicas < 0 || replicas > 1 {
		return fmt.Errorf("REPLICAS %q: want 0 or 1", args[3])
	}
	first, stop, err := start(args[0], 1+replicas)
	defer func() { err = errors.Join(err, stop()) }()
	if err != nil {
		return err
	}
	client := redis.NewClient(&redis.Options{Addr: first, PoolSize: connections, MinIdleConns: connections,
		ReadTimeout: 10 * time.Second})
	defer client.Close()
	if err := awaitAll(ctx, client, replicas); err != nil {
		return err
	}
	if err := errors.Join(client.Set(ctx, "stock", args[1], 0).Err(), grab.Load(ctx, client).Err()); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // whoever started this ends it so, also by dying
		_ = ln.Close()
	}()
	return serve(ctx, ln, client, replicas)
}

// start starts n Redis, each a process of its own with appendfsync always, below dir: all
// but the first are replicas. stop ends them, after an error, too.
func start(dir string, n int) (first string, stop func() error, err error) {
	var started []*exec.Cmd
	stop = func() (err error) {
		for _, c := range started {
			if kerr := c.Process.Kill(); kerr != nil && !errors.Is(kerr, os.ErrProcessDone) {
				err = errors.Join(err, kerr)
			}
			_ = c.Wait() // it was killed, and says so
		}
		return err
	}
	for i := range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", stop, err
		}
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		home := filepath.Join(dir, "redis-"+strconv.Itoa(i+1))
		if err := errors.Join(ln.Close(), os.MkdirAll(home, 0o700)); err != nil {
			return "", stop, err
		}
		args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", home, "--appendonly", "yes",
			"--appendfsync", "always", "--save", "", "--repl-diskless-sync", "yes",
			"--repl-diskless-sync-delay", "0", "--maxclients", "4096"}
		if i == 0 {
			first = "127.0.0.1:" + port
		} else {
			args = append(args, "--replicaof", strings.Replace(first, ":", " ", 1))
		}
		c := exec.Command("redis-server", args...)
		if err := c.Start(); err != nil {
			return "", stop, err
		}
		started = append(started, c)
	}
	return first, stop, nil
}

// awaitAll waits until the Redis answers, with its replicas if it has any.
func awaitAll(ctx context.Context, client *redis.Client, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		info, err := client.Info(ctx, "replication").Result()
		if err == nil && strings.Count(info, "state=online") >= replicas {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not all %d replicas follow: %w: %s", replicas, errors.Join(ctx.Err(), err), info)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// serve answers grabs on ln as a shop would: one script a grab, and with replicas one WAIT
// in the same round trip, over as many connections as there are requests. It returns when
// ln is closed.
func serve(ctx context.Context, ln net.Listener, client *redis.Client, replicas int) error {
	answers := map[int][]byte{1: []byte(`{"code":"granted"}`), 2: []byte(`{"code":"limit_reached"}`),
		0: []byte(`{"code":"sold_out","message":"Sold out."}`)}
	keys := []string{"stock", "shoppers"}
	s := &fasthttp.Server{
		Handler: func(rc *fasthttp.RequestCtx) {
			n, err := take(ctx, client, keys, string(rc.Request.Header.Peek("X-Shopper-Id")), replicas)
			if err != nil {
				rc.Error(err.Error(), fasthttp.StatusInternalServerError)
				return
			}
			rc.Response.Header.SetContentType("application/json")
			rc.Response.SetBodyRaw(answers[n])
		},
		Name: "redis", ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute,
	}
	return s.Serve(ln)
}

// take takes a unit for a shopper, and waits for the replicas if there are any.
func take(ctx context.Context, client *redis.Client, keys []string, shopper string, replicas int) (int, error) {
	if replicas == 0 {
		return grab.EvalSha(ctx, client, keys, shopper).Int()
	}
	pipe := client.Pipeline()
	taken := grab.EvalSha(ctx, pipe, keys, shopper)
	wait := pipe.Do(ctx, "WAIT", replicas, 5000)
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, err
	}
	if n, err := wait.Int(); err != nil || n < replicas {
		return 0, errors.Join(errors.New("not replicated"), err)
	}
	return taken.Int()
}
