package wal

// SyncMark does what a log does after MarkAfter without appends.
func (l *Log) SyncMark() error { return l.syncMark() }
