// Preact, its hooks and htm, from where all other files take them; and stores, which are
// values that components share.

import { h, render, Fragment } from "./preact.js";
import { useState, useEffect, useLayoutEffect, useRef, useMemo, useId, useErrorBoundary } from "./preact-hooks.js";
import htm from "./htm.js";

export const html = htm.bind(h);
export { render, Fragment, useState, useEffect, useLayoutEffect, useRef, useMemo, useId, useErrorBoundary };

// Store is a value with listeners.
export class Store {
  constructor(value) {
    this.value = value;
    this.listeners = new Set();
  }

  set(value) {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const listener of [...this.listeners]) listener();
  }

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

// useStore gives a store's value, and has the component drawn again when it changes.
export function useStore(store) {
  const [, again] = useState(0);
  useEffect(() => {
    let seen = store.value;
    const look = () => {
      if (!Object.is(seen, store.value)) {
        seen = store.value;
        again((n) => n + 1);
      }
    };
    look();
    return store.listen(look);
  }, [store]);
  return store.value;
}

// kept remembers what somebody has chosen, in this browser; where it can't, for as long as
// the page is open.
const inMemory = new Map();
export const kept = {
  get(name) {
    try {
      return localStorage.getItem(`doorbuster-${name}`);
    } catch {
      return inMemory.get(name) ?? null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`doorbuster-${name}`, value);
    } catch {
      inMemory.set(name, value);
    }
  },
};
