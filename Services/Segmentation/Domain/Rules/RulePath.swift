/// Where a value stands in a JSON document: `rule.all.1.count.within`.
package struct RulePath: Hashable, Sendable, CustomStringConvertible {
    package var components: [String]

    package init(_ components: [String] = []) {
        self.components = components
    }

    /// The place of a member or element below this one.
    package func appending(_ component: String) -> RulePath {
        RulePath(components + [component])
    }

    package var description: String { components.joined(separator: ".") }
}
