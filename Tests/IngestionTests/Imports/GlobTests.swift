import Glibc
import Models
import Testing

@testable import IngestionDomain

@Suite("Shell patterns") struct GlobTests {
    @Test(
        "a pattern fits the whole text",
        arguments: [
            ("A*", "A506401", true), ("A*", "C1", false), ("[0-9]*", "489434", true), ("[0-9]*", "C4", false),
            ("*a*b*", "xxaxxbxx", true), ("?", "é", true), ("[!a-c]", "d", true), ("[!a-c]", "b", false),
            ("[]]", "]", true), ("[a", "[a", true), ("\\*", "*", true), ("\\*", "x", false), ("", "", true),
            ("*", "", true), ("a", "", false),
        ])
    func fits(_ pattern: String, _ text: String, _ fits: Bool) {
        #expect(Glob(pattern).matches(text) == fits)
    }

    @Test("random patterns fit what the C library says they fit")
    func oracle() {
        var random = planGenerator()
        let pieces = ["*", "?", "a", "b", "c", "[ab]", "[!a]", "[a-c]", "[]a]", "\\a"]
        for _ in 0..<3000 {
            let pattern = (0..<random.number(0...6)).map { _ in pieces.pick(&random) }.joined()
            let text = (0..<random.number(0...8)).map { _ in ["a", "b", "c", "d", "]"].pick(&random) }
                .joined()
            #expect(Glob(pattern).matches(text) == (fnmatch(pattern, text, 0) == 0), "\(pattern) on \(text)")
        }
    }

    @Test("a pattern of many stars takes no time")
    func stars() {
        let pattern = String(repeating: "*a", count: 60) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 5000)))
    }
}
