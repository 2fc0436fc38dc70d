/// A mistake in a template, or a value a template couldn't be rendered with: where, what, and what would do.
package struct LiquidError: Error, Hashable, Sendable {
    /// The line in the template, from 1.
    package var line: Int
    /// The character in the line, from 1.
    package var column: Int
    /// What is wrong there.
    package var message: String
    /// What was expected there instead.
    package var expected: String
}

/// What a filter or an operator objects to; the place is added by whoever called it.
struct LiquidProblem: Error, Hashable, Sendable {
    var message: String
    var expected: String
}

/// How much a template may ask for; a template that asks for more fails, it doesn't slow its neighbours down.
package struct LiquidLimits: Hashable, Sendable {
    /// Bytes of template text.
    package var sourceBytes = 512 * 1024
    /// Bytes of the rendered text, and of any text on the way to it.
    package var outputBytes = 1024 * 1024
    /// Nodes rendered, loops counted once for each turn.
    package var steps = 200_000
    /// Items in any array or range.
    package var items = 20_000
    /// Blocks within blocks.
    package var nesting = 50

    package init() {}
}
