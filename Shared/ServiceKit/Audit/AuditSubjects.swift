import Models

/// Whose data an answer shows.
enum AuditSubjects {
    /// No page of anything is longer.
    private static let most = 10_000
    /// What ids of profiles stand behind in Martlet's answers, one, or a list.
    private static let members = [
        #""profileId":""#, #""merged":""#, #""profileIds":["#, #""between":["#, #""sample":["#,
    ].map { Array($0.utf8) }
    private static let length = 36

    /// The profiles that the request names and those whose ids are in the answer, in their order, each once.
    static func named(in request: ServiceRequest, and body: [UInt8]) -> [ProfileID] {
        var found: [ProfileID] = []
        var known: Set<ProfileID> = []
        func add(_ text: String) {
            guard found.count < most, let id = ProfileID(text), known.insert(id).inserted else { return }
            found.append(id)
        }
        for (name, value) in request.pathValues
        where name == "profileId" || name == "id" && request.path.hasPrefix("/v1/profiles/") { add(value) }
        for (name, value) in request.queryParameters where name == "profileId" || name == "subject" {
            add(value)
        }
        for id in ids(in: body) { add(id) }
        return found
    }

    /// Read off the bytes: parsing an answer once more only for that would cost more than the rest.
    private static func ids(in body: [UInt8]) -> [String] {
        var ids: [String] = []
        body.withUnsafeBufferPointer { body in
            var place = 0
            while place < body.count {
                // Most bytes are no quotation mark.
                guard body[place] == UInt8(ascii: "\""),
                    let member = members.first(where: { body[place...].starts(with: $0) })
                else {
                    place += 1
                    continue
                }
                place += member.count
                if member.last == UInt8(ascii: "\"") {
                    if let id = id(in: body, at: place) { ids.append(id) }
                    continue
                }
                // Ids one after the other; anything else in the list is looked through as everything is.
                while place < body.count, body[place] == UInt8(ascii: "\""),
                    let id = id(in: body, at: place + 1)
                {
                    ids.append(id)
                    place += length + 2
                    if place < body.count, body[place] == UInt8(ascii: ",") { place += 1 }
                }
            }
        }
        // The lines of a file begin with it.
        if ids.isEmpty,
            body.starts(with: "profileId,".utf8) || body.dropFirst(length).first == UInt8(ascii: ",")
        {
            for line in body.split(separator: UInt8(ascii: "\n")) {
                ids.append(String(decoding: line.prefix(length), as: UTF8.self))
            }
        }
        return ids
    }

    /// The id that stands there; nil for anything else.
    private static func id(in body: UnsafeBufferPointer<UInt8>, at place: Int) -> String? {
        guard place + length <= body.count else { return nil }
        let text = String(decoding: body[place..<place + length], as: UTF8.self)
        return ProfileID(text) == nil ? nil : text
    }
}
