package import Models

extension Order {
    /// The stored form of everything but the key.
    package var json: JSON {
        var members: [String: JSON] = [:]
        if let placement {
            members["placedAt"] = .string(placement.at.rfc3339)
            members["messageId"] = .string(placement.messageID)
            members["lines"] = Self.json(placement.lines)
        }
        if !refunds.isEmpty {
            members["refunds"] = .object(
                refunds.mapValues { refund in
                    var members: [String: JSON] = ["at": .string(refund.at.rfc3339)]
                    members["lines"] = refund.lines.map(Self.json)
                    return .object(members)
                })
        }
        return .object(members)
    }

    package init(key: String, json: JSON) throws(DecodingProblem) {
        let fields = try JSONFields(json)
        var placement: Placement?
        if fields["placedAt"] != nil {
            placement = Placement(
                at: try fields.instant("placedAt"), messageID: try fields.string("messageId"),
                lines: try Self.lines(fields))
        }
        var refunds: [String: Refund] = [:]
        for (messageID, refund) in try fields.objectIfPresent("refunds") {
            let fields = try JSONFields(refund, at: "refunds")
            refunds[messageID] = Refund(
                at: try fields.instant("at"), lines: fields["lines"] == nil ? nil : try Self.lines(fields))
        }
        self.init(key: key, placement: placement, refunds: refunds)
    }

    private static func json(_ lines: [String: Int]) -> JSON {
        .object(lines.mapValues { .integer(Int64($0)) })
    }

    private static func lines(_ fields: JSONFields) throws(DecodingProblem) -> [String: Int] {
        var lines: [String: Int] = [:]
        for (sku, quantity) in try fields.object("lines") {
            guard let quantity = quantity.integer else {
                throw fields.problem("lines", expected: "whole numbers by sku")
            }
            lines[sku] = Int(quantity)
        }
        return lines
    }
}
