import type { Diagnostic } from './diagnostics.ts';

/** The stages of a release in the order of the data's way. */
export type Stage = 'sources' | 'tree' | 'repo' | 'boot' | 'delta' | 'apps' | 'trust' | 'release' | 'verify';

/** What the library tells while it works. Only `cli/` prints. */
export type Event =
  | { readonly type: 'stage'; readonly stage: Stage; readonly title: string }
  | {
      readonly type: 'progress';
      readonly stage: Stage;
      /** What is counted, such as `read`, `objects` or `parts`. */
      readonly what: string;
      readonly done: number;
      /** Absent when the end is not known. */
      readonly total?: number;
      readonly unit: 'bytes' | 'items';
    }
  | { readonly type: 'done'; readonly stage: Stage; readonly summary: string }
  | { readonly type: 'diagnostic'; readonly diagnostic: Diagnostic };

/** Receives events. Must not throw. */
export type EventSink = (event: Event) => void;

/** Drops every event. */
export const noEvents: EventSink = () => undefined;
