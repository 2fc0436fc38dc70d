import DeliveryDomain
import Foundation
import Models
import Testing

/// The cases of golden-liquid that every Liquid is measured by (../shared/data/README.md).
@Suite struct GoldenLiquidTests {
    private struct Case {
        var name: String
        var template: String
        var data: [String: JSON]
        /// Any of these will do; nil when the template must be refused.
        var results: [String]?
    }

    private static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../shared/data/golden-liquid-part.json").standardized

    private static let isThere = FileManager.default.fileExists(atPath: file.path)

    private static func cases() throws -> [Case] {
        let json = try JSONParser.parse([UInt8](Data(contentsOf: file)))
        return (json["tests"]?.array ?? []).map { test in
            Case(
                name: test["name"]?.string ?? "", template: test["template"]?.string ?? "",
                data: test["data"]?.object ?? [:],
                results: test["result"]?.string.map { [$0] } ?? test["results"]?.array?.compactMap(\.string))
        }
    }

    private static func outcome(_ test: Case) -> String? {
        let environment = LiquidEnvironment(escapesHTML: false, now: Instant(milliseconds: 0))
        return try? LiquidTemplate(parsing: test.template).render(test.data, in: environment)
    }

    /// What isn't in the language yet: `render` and `include`; loops over objects go by name, because JSON
    /// objects have no order here.
    static let floor = 585

    @Test(
        "the golden cases of Liquid pass",
        .enabled(if: isThere, "../shared/data/golden-liquid-part.json is absent"))
    func golden() throws {
        let cases = try Self.cases()
        var failures: [String] = []
        for test in cases {
            let outcome = Self.outcome(test)
            let isRight =
                test.results.map { results in outcome.map(results.contains) ?? false } ?? (outcome == nil)
            if !isRight {
                failures.append(
                    "\(test.name): wanted \(test.results ?? ["an error"]), got \(outcome ?? "an error")")
            }
        }
        let passed = cases.count - failures.count
        #expect(cases.count == 613)
        #expect(
            passed >= Self.floor,
            "\(passed) of \(cases.count) pass:\n\(failures.joined(separator: "\n"))")
        if ProcessInfo.processInfo.environment["MARTLET_SHOW_GOLDEN"] != nil {
            Issue.record("\(passed) of \(cases.count) pass:\n\(failures.joined(separator: "\n"))")
        }
    }
}
