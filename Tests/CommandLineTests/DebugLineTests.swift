import Testing

@testable import CommandLine

@Suite("Lines of the debugger")
struct DebugLineTests {
    @Test("an item is told in a line, with what is in it below")
    func item() {
        let data =
            #"{"receivedAt":"2026-11-21T12:00:00.000Z","verdict":"quarantined","type":"track","event":"Order","#
            + #""messageId":"m","reason":"missing: who","item":{"event":"Order"}}"#
        #expect(
            DebugLine.text(data)
                == "12:00:00.000 quarantined track Order (m): missing: who\n    {\"event\":\"Order\"}")
        #expect(DebugLine.text(#"{"verdict":"refused"}"#) == "refused")
        #expect(DebugLine.text("no JSON") == "no JSON")
    }

    @Test("what a stranger sent does not steer the terminal")
    func control() {
        let data = #"{"verdict":"refused","messageId":"\u001b]0;x\u0007","itemStart":"\u001b[2J"}"#
        #expect(!DebugLine.text(data).unicodeScalars.contains { $0.value == 0x1B || $0.value == 0x07 })
    }

    @Test("what is missing is counted where it can be")
    func missed() {
        #expect(DebugLine.missed(#"{"count":900}"#).contains("900"))
        #expect(!DebugLine.missed(#"{"count":null}"#).isEmpty)
    }
}
