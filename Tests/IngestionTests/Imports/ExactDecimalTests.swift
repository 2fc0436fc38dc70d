import Testing

@testable import IngestionDomain

@Suite("Exact decimals") struct ExactDecimalTests {
    @Test(
        "money is read and written exactly, with at least two decimals",
        arguments: [
            ("6.95", "6.95"), ("2.1", "2.10"), ("0", "0.00"), ("-53594.36", "-53594.36"), ("0.001", "0.001"),
            ("-0.5", "-0.50"), ("12", "12.00"), ("1.2300", "1.23"), ("+7.5", "7.50"), (".5", "0.50"),
        ])
    func text(_ written: String, _ expected: String) throws {
        #expect(try #require(ExactDecimal(written)).text == expected)
    }

    @Test(
        "what is no plain decimal number is refused",
        arguments: [
            "", "-", ".", "1e5", "1,5", "1.2.3", "٣", "0x10", "123456789012345", "1.1234567", " 1", "NaN",
        ])
    func refused(_ text: String) {
        #expect(ExactDecimal(text) == nil)
    }

    @Test("a sum of a thousand pennies is ten pounds, and products keep every digit")
    func arithmetic() throws {
        let penny = try #require(ExactDecimal("0.01"))
        #expect((0..<1000).reduce(ExactDecimal.zero) { sum, _ in sum + penny }.text == "10.00")
        #expect((try #require(ExactDecimal("0.001")) * ExactDecimal(-12)).text == "-0.012")
        #expect(try #require(ExactDecimal("2.10")) == #require(ExactDecimal("2.1")))
        #expect(try #require(ExactDecimal("-2.10")) < #require(ExactDecimal("2.1")))
    }
}
