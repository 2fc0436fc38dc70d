import Models
import Testing

@testable import IngestionDomain

func conforms(_ value: String, to schema: String) throws -> Bool {
    try JSONSchema(JSONParser.parse(schema)).violations(of: JSONParser.parse(value)).isEmpty
}

/// A schema with values that conform to it, and values that don't, by the specification of 2020-12.
struct ConformanceCase: Sendable, CustomTestStringConvertible {
    let schema: String
    let good: [String]
    let bad: [String]

    init(_ schema: String, good: [String] = [], bad: [String] = []) {
        self.schema = schema
        self.good = good
        self.bad = bad
    }

    var testDescription: String { schema }
}

@Suite("Schemas and the specification")
struct SchemaConformanceTests {
    static let cases: [ConformanceCase] =
        ConformanceTable.general + ConformanceTable.containers + ConformanceTable.formats

    @Test("values conform, or don't, as the specification says", arguments: cases)
    func table(_ entry: ConformanceCase) throws {
        for value in entry.good { #expect(try conforms(value, to: entry.schema), "\(value) conforms") }
        for value in entry.bad { #expect(try !conforms(value, to: entry.schema), "\(value) doesn't conform") }
    }

    @Test("the table has at least 150 values")
    func size() {
        #expect(Self.cases.reduce(0) { $0 + $1.good.count + $1.bad.count } >= 150)
    }
}
