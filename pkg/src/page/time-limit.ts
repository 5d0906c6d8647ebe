/** Returns true if a timer can wait this number of seconds. A timer does not wait at all for `NaN`, or for 2^31 ms or more. */
export const isTimeLimit = (seconds: number): boolean => seconds >= 0 && seconds * 1000 < 2 ** 31
