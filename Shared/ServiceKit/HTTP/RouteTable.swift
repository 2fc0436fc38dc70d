import HTTPTypes

/// Which methods each path knows, to tell a method that is not known somewhere (405) from a path that is not (404).
struct RouteTable: Sendable {
    private struct Row: Sendable {
        var segments: [Substring]
        var method: String
    }

    private let rows: [Row]

    init(_ routes: [ServiceRouter.Route]) {
        rows = routes.map {
            Row(
                segments: $0.path.split(separator: "/", omittingEmptySubsequences: true),
                method: $0.method.rawValue)
        }
    }

    /// The 405 for a path that the service has, whatever the method was; nil when it has no such path.
    ///
    /// RFC 9110, section 15.5.6: the answer names the methods that there are.
    func methodNotAllowed(at path: String) -> Problem? {
        let segments = path.split(separator: "/", omittingEmptySubsequences: true)
        let known = Set(rows.filter { Self.matches($0.segments, segments) }.map(\.method)).sorted()
        guard !known.isEmpty else { return nil }
        let allow = known.joined(separator: ", ")
        return Problem(
            status: .methodNotAllowed, type: "method-not-allowed", title: "This method is not known here",
            detail: "use one of: \(allow)", headers: [.allow: allow])
    }

    private static func matches(_ pattern: [Substring], _ path: [Substring]) -> Bool {
        pattern.count == path.count
            && zip(pattern, path).allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") || $0 == $1 }
    }
}
