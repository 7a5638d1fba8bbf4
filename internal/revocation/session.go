package revocation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// block is how long Redis holds a read when there is no news.
	block = 500 * time.Millisecond
	// resync is how often everything is read again. The stream reaches back further.
	resync = 5 * time.Minute
)

// session reads everything and then what comes, until Redis fails or everything is to
// be read again. It says whether the first part succeeded.
func (f *Follower) session(ctx context.Context) (loaded bool, err error) {
	last, err := f.load(ctx)
	if err != nil {
		return false, err
	}
	f.touch()
	f.loaded.Store(true)
	f.note(nil)
	for end := f.config.Now().Add(resync); f.config.Now().Before(end); f.touch() {
		if last, err = f.follow(ctx, last); err != nil {
			return true, err
		}
	}
	return true, nil
}

// load reads what is in force and gives the place in the stream to follow it from,
// which has to be looked up before.
func (f *Follower) load(ctx context.Context) (last string, err error) {
	last, err = f.end(ctx)
	if err != nil {
		return "", err
	}
	present := make(map[string]bool)
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		var page []string
		page, cursor, err = f.config.Client.ZScan(ctx, f.keys.set, cursor, "", batch).Result()
		if err != nil {
			return "", fmt.Errorf("load the revocations: %w", err)
		}
		for i := 0; i < len(page); i += 2 { // members and scores in turn
			f.take(page[i])
			present[page[i]] = true
		}
	}
	return last, f.restore(ctx, present)
}

// end is the id of the stream's newest entry.
func (f *Follower) end(ctx context.Context) (string, error) {
	newest, err := f.config.Client.XRevRangeN(ctx, f.keys.stream, "+", "-", 1).Result()
	if err != nil {
		return "", fmt.Errorf("find the end of the revocations: %w", err)
	}
	if len(newest) == 0 {
		return "0-0", nil
	}
	return newest[0].ID, nil
}

// restore publishes what is known here and not in Redis. It may have lost its data,
// or failed over to a replica that was behind, and a node that starts now has only
// Redis to ask.
func (f *Follower) restore(ctx context.Context, present map[string]bool) error {
	pipeline := f.config.Client.Pipeline()
	for _, r := range f.memory.all() {
		text, err := encode(r)
		if err != nil || present[text] {
			continue
		}
		publishScript.Eval(ctx, pipeline, []string{f.keys.set, f.keys.stream}, arguments(r, text)...)
		if pipeline.Len() < batch {
			continue
		}
		if _, err := pipeline.Exec(ctx); err != nil {
			return fmt.Errorf("restore revocations: %w", err)
		}
	}
	if _, err := pipeline.Exec(ctx); err != nil {
		return fmt.Errorf("restore revocations: %w", err)
	}
	return nil
}

// follow waits for entries after last, and gives the id of the newest.
func (f *Follower) follow(ctx context.Context, last string) (string, error) {
	streams, err := f.config.Client.XRead(ctx, &redis.XReadArgs{
		Streams: []string{f.keys.stream, last}, Count: batch, Block: block,
	}).Result()
	if errors.Is(err, redis.Nil) {
		return last, nil // no news
	}
	if err != nil {
		return "", fmt.Errorf("follow the revocations: %w", err)
	}
	for _, stream := range streams {
		for _, message := range stream.Messages {
			text, _ := message.Values[field].(string)
			f.take(text)
			last = message.ID
		}
	}
	return last, nil
}
