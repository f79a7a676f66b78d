package decode

// lints lists every rule that is checked, in the order of the reference.
// Rules that need more than one message are not here: they are diagnoses of a
// whole capture.
var lints = []*lint{
	&secrets,
	// The bytes of body and parts.
	&noTerminator, &bomInBody, &oddLength, &utf8Body, &bigEndian, &textAfterNul, &loneSurrogate,
	&boundaryMissing, &partTypes, &surplusParts, &headerWithoutBOM, &notZlib, &zlibWithoutHook, &bomb,
	&postForMessage, &contentLength, &pageInsteadOfReply, &emptyAnswer,
	// The header.
	&headerBroken, &headerIncomplete, &wrongLength, &rangesOverlap, &unknownEndpoint, &addressMismatch,
	&wrongRoot, &syncToPost, &asyncToInvoke, &badTimeout, &badGUID, &toolGUID, &badSourceID, &clockSkew,
	&foreignTime, &hardcodedHost, &otherHost, &badReplyTo, &badPriority, &protocolMismatch, &oldSchema,
	&unknownChild, &badCompression,
	// Hooks and signatures.
	&unsigned, &weakHash, &payloadUnfit, &idUnfit, &cutSignature, &capabilityMismatch, &senderMismatch,
	&encryptedPayload, &tokenTime,
	// The text as XML.
	&notWellFormed, &badCharacter, &wrongDeclaration, &stateWithoutDeclaration, &missingRequired,
	&unknownElement, &wrongCase, &doctype, &namespace, &noSchemaVersion, &mojibake, &codePage, &badDate,
	&otherClient, &badNetBIOS, &noClientID, &longValue,
	// Registration.
	&registrationPending, &registrationFailed, &registrationRefused, &notApproved, &certificateReset,
	&noSigningCertificate, &confirmationWithoutID, &proxyUnnamed, &nameless, &negotiating, &notInCapture, &toolAgent,
	// Policy.
	&noPolicy, &badPolicySource, &userWithoutName, &policyUnsigned, &hashMismatch, &secretsOverHTTP,
	&policyRefused, &foreignPolicyHost,
	// Locations.
	&noDP, &noWSUS, &badAddress, &shortLocation, &badSiteCode, &sslState,
	// Reports.
	&largeReport, &contentMissing, &wrongAction, &noReportType, &classMismatch, &duplicateInstance,
	&emptyReport, &fileCount,
	// State, status, metering.
	&unknownTopic, &unknownState, &paramCount, &manyParams, &serialNumbers, &noFileType, &stateTime,
	&resync, &unknownClass, &badStatusNumber, &meteringTimes, &statusError,
	// Uploads.
	&uploadRefused, &fragmentBroken,
}
