const TICKS_PER_MS = 90;

/**
 * RTP timestamps, which have 32 bits and wrap around every 13 hours, as ms that go on. The instant that they count from
 * is that of the first; the pictures that are shown keep the clock near.
 */
export class RtpClock {
  private lastTicks: number | null = null;
  private lastMs = 0;

  /** The time of a picture that is shown. */
  shown(timestamp: number): number {
    this.lastMs = this.msOf(timestamp);
    this.lastTicks = timestamp;
    return this.lastMs;
  }

  /** The time of any picture within some hours of those that are shown. */
  msOf(timestamp: number): number {
    if (this.lastTicks === null) {
      this.lastTicks = timestamp;
      return this.lastMs;
    }
    return this.lastMs + ((timestamp - this.lastTicks) | 0) / TICKS_PER_MS;
  }

  /** How far behind (positive) or before the picture that is shown, in ms. */
  aheadMs(timestamp: number): number {
    return this.msOf(timestamp) - this.lastMs;
  }

  /** Another session counts from elsewhere. */
  reset(): void {
    this.lastTicks = null;
    this.lastMs = 0;
  }
}
