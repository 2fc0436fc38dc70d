import HTTPTypes
import Models

/// The one place that decides how much of an answer a caller is shown.
struct Disclosure: Sendable {
    private let view: PseudonymousView
    /// Bodies are nested as deep as what was sent, and a little deeper.
    private static let limits = JSONParser.Limits(maxDepth: 192)

    init(_ pseudonyms: Pseudonyms) { view = PseudonymousView(pseudonyms: pseudonyms) }

    /// 403 before anything is done, where the route shows only what the caller may not see.
    static func check(_ touches: Touches, caller: Caller) throws(Problem) {
        if touches == .identifiers, !caller.seesIdentifiers { throw .identifiersHidden("this") }
    }

    /// The answer as the caller may see it.
    func shown(_ answer: ServiceResponse, touching touches: Touches, to caller: Caller) throws
        -> ServiceResponse
    {
        guard touches == .people, !caller.seesIdentifiers else { return answer }
        var shown = answer
        // It is a hash of what is not shown, and would confirm a guess.
        shown.headers[.eTag] = nil
        guard answer.streamed == nil else { throw Problem.identifiersHidden("an answer without an end") }
        if answer.body.isEmpty { return shown }
        switch answer.headers[.contentType]?.prefix(while: { $0 != ";" }) {
        case "application/json":
            shown.body = Array(view.shown(try Self.read(answer.body[...])).compact.utf8)
        case "application/x-ndjson":
            var body: [UInt8] = []
            for line in answer.body.split(separator: UInt8(ascii: "\n")) {
                view.shown(try Self.read(line)).write(into: &body)
                body.append(UInt8(ascii: "\n"))
            }
            shown.body = body
        case "text/csv": shown.body = view.shown(csv: answer.body)
        // What can't be read through is not shown.
        default: throw Problem.identifiersHidden("an answer that is not JSON, NDJSON or CSV")
        }
        return shown
    }

    private static func read(_ bytes: ArraySlice<UInt8>) throws -> JSON {
        do { return try JSONParser.parse(bytes, limits: limits) } catch {
            // It is an answer of ours: whoever asked has made no mistake.
            throw Unreadable()
        }
    }

    private struct Unreadable: Error {}
}
