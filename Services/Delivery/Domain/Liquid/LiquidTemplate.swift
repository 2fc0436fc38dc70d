package import Models

/// A template in the Liquid language, parsed: ready to be rendered any number of times, from anywhere.
package struct LiquidTemplate: Hashable, Sendable {
    private let source: LiquidSource
    private let nodes: [LiquidNode]

    /// Parses `text`; every mistake that can be seen without data is found here.
    package init(parsing text: String, limits: LiquidLimits = LiquidLimits()) throws(LiquidError) {
        source = LiquidSource(text)
        nodes = try LiquidParser.parse(source, limits: limits)
    }

    /// The text that the template gives with `data`.
    package func render(
        _ data: [String: JSON], in environment: LiquidEnvironment
    ) throws(LiquidError) -> String {
        var renderer = LiquidRenderer(source: source, data: data, environment: environment)
        try renderer.render(nodes)
        return String(decoding: renderer.output, as: UTF8.self)
    }

    /// The template mentions a word, perhaps as a variable; false is certain, true is a guess.
    package func mentions(_ word: String) -> Bool {
        source.bytes.firstRange(of: Array(word.utf8), from: 0) != nil
    }
}
