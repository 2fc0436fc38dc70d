/// The contract of each service, as it serves it at `/openapi.yaml`: the bytes of the files in this folder.
package enum Contracts {
    package static let ingestion = Array(ingestionText.utf8)
    package static let identity = Array(identityText.utf8)
    package static let consent = Array(consentText.utf8)
    package static let segmentation = Array(segmentationText.utf8)
    package static let recommendation = Array(recommendationText.utf8)
    package static let journeys = Array(journeysText.utf8)
    package static let delivery = Array(deliveryText.utf8)
}
