/** Which deltas are worth their bytes. Pure: judged from sizes and numbers of devices, the same for the same input. */

/** A delta that could be made. Sizes in bytes. */
export interface DeltaCandidate {
  /** How many devices would use it; at least 1. */
  readonly devices: number;
  /** What each of them downloads without it. */
  readonly looseBytes: number;
  /** What the delta is expected to have. */
  readonly expectedBytes: number;
  /** False for the delta from nothing: it saves requests and serves offline use, whatever its size. */
  readonly mustSave: boolean;
}

export interface DeltaRules {
  /** A delta above this share of the objects it replaces is not published. */
  readonly maxRatio: number;
  /** Bytes for all deltas together; absent: any number. */
  readonly budget?: number | undefined;
}

export type DeltaDecision = 'make' | 'too-large' | 'over-budget';

/** How far an estimate may be off: what is expected beyond the ratio by less than this is made and then judged. */
export const ESTIMATE_MARGIN = 0.15;

/** Bytes saved in the fleet for each byte published. */
function worth({ devices, looseBytes, expectedBytes }: DeltaCandidate): number {
  return (devices * (looseBytes - expectedBytes)) / Math.max(1, expectedBytes);
}

/** True when the estimate leaves no doubt that the delta would not be published. */
export function clearlyTooLarge(candidate: DeltaCandidate, { maxRatio }: DeltaRules): boolean {
  return (
    candidate.mustSave && candidate.expectedBytes > candidate.looseBytes * maxRatio * (1 + ESTIMATE_MARGIN)
  );
}

/** The order in which candidates get their share of the budget: most saved per byte first, then as given. */
export function rankDeltas<Candidate extends DeltaCandidate>(candidates: readonly Candidate[]): Candidate[] {
  return [...candidates].sort((a, b) => worth(b) - worth(a));
}

/** What becomes of each candidate if every delta has the size that is expected. In the order given. */
export function chooseDeltas<Candidate extends DeltaCandidate>(
  candidates: readonly Candidate[],
  rules: DeltaRules,
): readonly (Candidate & { readonly decision: DeltaDecision })[] {
  const decisions = new Map<Candidate, DeltaDecision>();
  let left = rules.budget ?? Infinity;
  for (const candidate of rankDeltas(candidates)) {
    if (clearlyTooLarge(candidate, rules)) {
      decisions.set(candidate, 'too-large');
    } else if (candidate.expectedBytes > left) {
      decisions.set(candidate, 'over-budget');
    } else {
      decisions.set(candidate, 'make');
      left -= candidate.expectedBytes;
    }
  }
  return candidates.map((candidate) => ({
    ...candidate,
    decision: decisions.get(candidate) ?? 'over-budget',
  }));
}
