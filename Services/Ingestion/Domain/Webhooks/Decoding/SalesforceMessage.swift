import Models

/// An outbound message (Salesforce SOAP API Developer Guide, "Understanding the Outbound Messaging WSDL"): up to 100
/// notifications in one SOAP envelope.
package struct SalesforceMessage: Hashable, Sendable {
    /// 18 characters; what a message is authenticated by beside its secret.
    package var organizationID: String
    package var records: [InboundRecord]

    private static let soap = "http://schemas.xmlsoap.org/soap/envelope/"
    private static let outbound = "http://soap.sforce.com/2005/09/outbound"
    private static let instance = "http://www.w3.org/2001/XMLSchema-instance"

    package init(_ body: [UInt8]) throws(WebhookProblem) {
        let root: XMLElement
        do { root = try XMLReader.parse(body) } catch { throw .notXML(error) }
        guard root.name == "Envelope", root.namespace == Self.soap,
            let message = root.child("Body")?.child("notifications"), message.namespace == Self.outbound
        else { throw .unexpected(path: "", expected: "a SOAP envelope with notifications of Salesforce") }
        guard let organization = message.child("OrganizationId")?.text.trimmed, !organization.isEmpty else {
            throw .unexpected(path: "OrganizationId", expected: "the id of the organisation")
        }
        organizationID = organization
        records = []
        for (index, notification) in message.all("Notification").enumerated() {
            guard let id = notification.child("Id")?.text.trimmed, !id.isEmpty,
                let object = notification.child("sObject")
            else { throw .unexpected(path: "Notification.\(index)", expected: "an Id and an sObject") }
            records.append(Self.record(id, object, organization, message))
        }
        // SessionId is left where it is: it opens the organisation to whoever reads it.
        guard !records.isEmpty else {
            throw .unexpected(path: "Notification", expected: "at least one notification")
        }
    }

    private static func record(
        _ id: String, _ object: XMLElement, _ organization: String, _ message: XMLElement
    ) -> InboundRecord {
        let written = object.attribute("type", of: instance) ?? "sObject"
        let name = written.split(separator: ":").last.map(String.init) ?? written
        let fields = json(object)
        let time = ["SystemModstamp", "LastModifiedDate", "CreatedDate"].lazy
            .compactMap { fields[$0]?.string.flatMap(VendorTime.instant) }.first
        var meta: [String: JSON] = ["organizationId": .string(organization), "entity": .string(name)]
        meta["actionId"] = message.child("ActionId").map { .string($0.text.trimmed) }
        // The notification's id is the same whenever it is sent again ("Understanding Notifications").
        return InboundRecord(
            provider: .salesforce, type: "\(name).outbound", id: "\(organization):\(id)", occurredAt: time,
            object: fields, meta: meta)
    }

    /// Fields as members: text, or an object where a field has fields of its own. XML has no types, so numbers and
    /// times stay text until a mapping converts them; a field that comes more than once is an array.
    private static func json(_ element: XMLElement) -> JSON {
        if let isNil = element.attribute("nil", of: instance), isNil == "true" || isNil == "1" {
            return .null
        }
        guard !element.children.isEmpty else { return .string(element.text) }
        var members: [String: JSON] = [:]
        var repeated: Set<String> = []
        for child in element.children {
            let value = json(child)
            switch members[child.name] {
            case nil: members[child.name] = value
            case .array(let values)? where repeated.contains(child.name):
                members[child.name] = .array(values + [value])
            case .some(let first):
                members[child.name] = .array([first, value])
                repeated.insert(child.name)
            }
        }
        return .object(members)
    }

    /// What Salesforce must be answered with, as `text/xml` and 200, or it sends the message again for 24 hours: the
    /// whole message is acknowledged or none of it.
    package static let acknowledgement: [UInt8] = answer(true)
    /// Asks for the message to be sent again.
    package static let refusal: [UInt8] = answer(false)

    private static func answer(_ ack: Bool) -> [UInt8] {
        Array(
            """
            <?xml version="1.0" encoding="UTF-8"?>
            <soapenv:Envelope xmlns:soapenv="\(soap)"><soapenv:Body>\
            <notificationsResponse xmlns="\(outbound)"><Ack>\(ack)</Ack></notificationsResponse>\
            </soapenv:Body></soapenv:Envelope>
            """.utf8)
    }
}
