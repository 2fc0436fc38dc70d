import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

@testable import SegmentationServer

@Suite(
    "The export of members",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct ExportTests {
    private let start = Installation.start

    @Test("pages one after the other are one file, and every member is in it once")
    func pages() async throws {
        try await Installation.with { installation in
            try await installation.put("all", ["count": ["event": "A"]])
            let people = (0..<25).map { Installation.profile("p\($0)") }
            for person in people {
                try await installation.append([Installation.track("A", at: start)], to: person)
            }
            try await installation.drain()
            for format in ["csv", "ndjson"] {
                var text = ""
                var path: String? = "/v1/segments/all/export?format=\(format)&limit=10"
                var pages = 0
                while let next = path {
                    let answer = try await installation.harness.request("GET", next)
                    #expect(answer.status == 200, "\(answer.text)")
                    text += answer.text
                    pages += 1
                    path = answer.headers["link"].map { String($0.dropFirst().prefix { $0 != ">" }) }
                }
                #expect(pages == 3)
                let lines = text.split(whereSeparator: \.isNewline)
                #expect(lines.count == 25 + (format == "csv" ? 1 : 0))
                for person in people { #expect(lines.count { $0.contains(person.description) } == 1) }
            }
            for wrong in ["format=xml", "limit=0", "fields=1", "fields=email,email", "cursor=x"] {
                #expect(
                    try await installation.harness.request("GET", "/v1/segments/all/export?\(wrong)").status
                        == 400, "\(wrong)")
            }
            #expect(try await installation.harness.request("GET", "/v1/segments/none/export").status == 404)
        }
    }

    @Test(
        "no cell is a formula, and what RFC 4180 wants quoted is quoted",
        arguments: [
            ("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\""), ("+49 30 1234", "'+49 30 1234"),
            ("-1.5", "-1.5"), ("-1.5+cmd", "'-1.5+cmd"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"),
            ("＝1+1", "'＝1+1"), ("a,b", "\"a,b\""), ("a\nb", "\"a\nb\""), ("plain", "plain"), ("", ""),
            ("x;=HYPERLINK(\"y\")", "\"x;'=HYPERLINK(\"\"y\"\")\""), ("a,+1", "\"a,'+1\""),
            ("a\t@b", "a\t'@b"),
            ("x; \"=1", "\"x; \"\"'=1\""), ("a-b; c", "a-b; c"), ("a\r\n=1", "\"a\r\n'=1\""), (" =1", " '=1"),
        ])
    func cells(text: String, cell: String) {
        #expect(CSVText.cell(text) == cell)
    }

    @Test("a field is an identifier or a trait")
    func fields() {
        #expect(ExportField("email") == .identifier(.email))
        #expect(ExportField("traits.first name") == .trait("first name"))
        #expect(ExportField("traits.") == nil)
        #expect(ExportField("1") == nil)
    }
}
