// Knowledge: datasets, their documents, the segments of these. Needs a dataset key.
"use strict";

const { get, pathOf, post, postFile, toFields } = require("./calls.js");
const { Resource } = require("./resources.js");

class Datasets extends Resource {
  constructor(transport) {
    super(transport);
    this.documents = new Documents(transport);
    this.segments = new Segments(transport);
  }

  list(query) {
    return this.transport.answer(get(pathOf("datasets"), query));
  }

  create(fields) {
    return this.transport.answer(post(pathOf("datasets"), fields));
  }

  get(datasetId) {
    return this.transport.answer(get(pathOf("datasets", datasetId)));
  }

  update(datasetId, fields) {
    return this.transport.answer({
      method: "PATCH",
      path: pathOf("datasets", datasetId),
      body: toFields(fields),
    });
  }

  delete(datasetId) {
    return this.transport.answer({ method: "DELETE", path: pathOf("datasets", datasetId) });
  }

  retrieve(datasetId, fields) {
    return this.transport.answer(post(pathOf("datasets", datasetId, "retrieve"), fields));
  }
}

class Documents extends Resource {
  createByText(datasetId, fields) {
    return this.transport.answer(post(pathOf("datasets", datasetId, "document", "create-by-text"), fields));
  }

  async createByFile(datasetId, { file, fileName, ...fields }) {
    const path = pathOf("datasets", datasetId, "document", "create-by-file");
    return this.transport.answer(postFile(path, { file, name: fileName, data: toText(fields) }));
  }

  updateByText(datasetId, documentId, fields) {
    const path = pathOf("datasets", datasetId, "documents", documentId, "update-by-text");
    return this.transport.answer(post(path, fields));
  }

  async updateByFile(datasetId, documentId, { file, fileName, ...fields }) {
    const path = pathOf("datasets", datasetId, "documents", documentId, "update-by-file");
    return this.transport.answer(postFile(path, { file, name: fileName, data: toText(fields) }));
  }

  list(datasetId, query) {
    return this.transport.answer(get(pathOf("datasets", datasetId, "documents"), query));
  }

  get(datasetId, documentId) {
    return this.transport.answer(get(pathOf("datasets", datasetId, "documents", documentId)));
  }

  indexingStatus(datasetId, batch) {
    const path = pathOf("datasets", datasetId, "documents", batch, "indexing-status");
    return this.transport.answer(get(path));
  }

  setStatus(datasetId, action, { documentIds }) {
    const path = pathOf("datasets", datasetId, "documents", "status", action);
    return this.transport.answer({ method: "PATCH", path, body: { document_ids: documentIds } });
  }

  delete(datasetId, documentId) {
    const path = pathOf("datasets", datasetId, "documents", documentId);
    return this.transport.answer({ method: "DELETE", path });
  }
}

class Segments extends Resource {
  create(datasetId, documentId, { segments }) {
    return this.transport.answer(post(toPath(datasetId, documentId), { segments }));
  }

  list(datasetId, documentId, query) {
    return this.transport.answer(get(toPath(datasetId, documentId), query));
  }

  get(datasetId, documentId, segmentId) {
    return this.transport.answer(get(toPath(datasetId, documentId, segmentId)));
  }

  update(datasetId, documentId, segmentId, fields) {
    const segment = toFields(fields);
    return this.transport.answer(post(toPath(datasetId, documentId, segmentId), { segment }));
  }

  delete(datasetId, documentId, segmentId) {
    return this.transport.answer({ method: "DELETE", path: toPath(datasetId, documentId, segmentId) });
  }
}

function toPath(datasetId, documentId, ...segment) {
  return pathOf("datasets", datasetId, "documents", documentId, "segments", ...segment);
}

function toText(fields) {
  return JSON.stringify(toFields(fields));
}

module.exports = { Datasets };
