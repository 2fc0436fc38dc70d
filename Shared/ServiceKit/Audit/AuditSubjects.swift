import Models

/// Whose data an answer shows.
enum AuditSubjects {
    /// No page of anything is longer.
    private static let most = 10_000
    private static let member = Array(#""profileId":""#.utf8)
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
            let last = body.count - member.count - length
            while place <= last {
                // Most bytes are no quotation mark.
                guard body[place] == member[0] else {
                    place += 1
                    continue
                }
                guard body[place..<place + member.count].elementsEqual(member) else {
                    place += 1
                    continue
                }
                place += member.count
                ids.append(String(decoding: body[place..<place + length], as: UTF8.self))
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
}
