import type { EventSink, Stage } from '../core/events.ts';
import type { LockOptions } from '../platform/lock.ts';

/** How long a second writer waits for the first, in milliseconds. */
const LOCK_WAIT = 60_000;

/** Waits for another writer and says so. */
export function waitForLock(events: EventSink, stage: Stage): LockOptions {
  return {
    wait: LOCK_WAIT,
    onWait: ({ pid, host, since }) => {
      events({
        type: 'stage',
        stage,
        title: `Waiting for process ${pid} on ${host}, at work since ${since}`,
      });
    },
  };
}
