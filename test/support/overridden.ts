/** `target` with some members replaced; the others keep working on the real one. */
export function overridden<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(real, name) {
      const replaced: unknown = Reflect.get(members, name);
      if (replaced !== undefined) return replaced;
      const member: unknown = Reflect.get(real, name);
      return typeof member === "function" ? member.bind(real) : member;
    },
  });
}
